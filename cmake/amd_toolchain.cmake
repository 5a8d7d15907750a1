# CMake's HIP language for the amd platform: which clang, which device libraries, which architectures.
#
# AMD's own ROCm is one root (ROCM_PATH, else /opt/rocm) with everything in its place. Debian and Ubuntu spread the
# same parts over the system: hipcc names its clang, and this file writes the package that CMake expects of a root.

include(hip_runtime)

set(rocm_root "$ENV{ROCM_PATH}")
if(NOT rocm_root)
  set(rocm_root /opt/rocm)
endif()
if(NOT DEFINED CMAKE_HIP_COMPILER AND "$ENV{HIPCXX}" STREQUAL "")
  find_program(HIPFORGE_HIP_CLANG clang++ PATHS ${rocm_root}/lib/llvm/bin ${rocm_root}/llvm/bin NO_DEFAULT_PATH)
  if(HIPFORGE_HIP_CLANG)
    set(CMAKE_HIP_COMPILER ${HIPFORGE_HIP_CLANG} CACHE FILEPATH "The clang that compiles HIP")
  else()
    # hipcc is a wrapper, which CMake refuses; the clang behind it is the one that its device libraries fit.
    find_program(HIPFORGE_HIPCC hipcc)
    if(NOT HIPFORGE_HIPCC)
      message(FATAL_ERROR "platform amd: no ROCm at ${rocm_root} and no hipcc on the PATH (Debian's package: hipcc)")
    endif()
    execute_process(COMMAND ${HIPFORGE_HIPCC} --version OUTPUT_VARIABLE hipcc_version ERROR_QUIET)
    if(NOT hipcc_version MATCHES "clang version ([0-9]+)")
      message(FATAL_ERROR "platform amd: `${HIPFORGE_HIPCC} --version` names no clang")
    endif()
    find_program(HIPFORGE_HIP_CLANG NAMES clang++-${CMAKE_MATCH_1} PATHS /usr/lib/llvm-${CMAKE_MATCH_1}/bin REQUIRED)
    set(CMAKE_HIP_COMPILER ${HIPFORGE_HIP_CLANG} CACHE FILEPATH "The clang that compiles HIP")
  endif()
endif()

if(NOT EXISTS ${rocm_root}/lib/cmake/hip-lang/hip-lang-config.cmake)
  get_filename_component(rocm_root ${HIPFORGE_HIP_INCLUDE_DIR} DIRECTORY)
  configure_file(kernels/platform/amd/hip-lang-config.cmake.in
                 ${PROJECT_BINARY_DIR}/rocm_root/lib/cmake/hip-lang/hip-lang-config.cmake @ONLY)
  set(CMAKE_HIP_COMPILER_ROCM_ROOT ${PROJECT_BINARY_DIR}/rocm_root)
else()
  set(CMAKE_HIP_COMPILER_ROCM_ROOT ${rocm_root})
endif()
file(GLOB device_library_dirs LIST_DIRECTORIES true ${rocm_root}/lib/llvm/lib/clang/*/lib/amdgcn/bitcode
     ${rocm_root}/lib/llvm-*/lib/clang/*/lib/amdgcn/bitcode ${rocm_root}/lib/llvm-*/lib/clang/*/amdgcn/bitcode)
find_path(HIPFORGE_DEVICE_LIBS ocml.bc REQUIRED NO_DEFAULT_PATH
          PATHS ${rocm_root}/amdgcn/bitcode ${rocm_root}/lib/${CMAKE_LIBRARY_ARCHITECTURE}/amdgcn/bitcode
                ${rocm_root}/lib/llvm/amdgcn/bitcode ${device_library_dirs})
# A variable and not a compile option: CMake asks the compiler who it is before targets exist.
set(CMAKE_HIP_FLAGS "${CMAKE_HIP_FLAGS} --rocm-path=${rocm_root} --rocm-device-lib-path=${HIPFORGE_DEVICE_LIBS}")
mark_as_advanced(HIPFORGE_HIP_CLANG HIPFORGE_HIPCC HIPFORGE_DEVICE_LIBS)

# isa_number(gfx90a out): the part of the name that the device libraries' files carry.
function(isa_number architecture out)
  string(REGEX REPLACE "^gfx([0-9a-f]+).*$" "\\1" number ${architecture})
  set(${out} ${number} PARENT_SCOPE)
endfunction()

# HIPFORGE_AMD_ARCHS, from the cache or the environment; else the GPUs of this machine, as the kernel driver lists
# them; else every architecture that hipforge is meant for and the installed device libraries know.
set(HIPFORGE_AMD_ARCHS "" CACHE STRING "Architectures of the amd platform; empty: HIPFORGE_AMD_ARCHS of the environment")
set(architectures ${HIPFORGE_AMD_ARCHS})
if(NOT architectures)
  string(REPLACE "," ";" architectures "$ENV{HIPFORGE_AMD_ARCHS}")
endif()
if(NOT architectures AND EXISTS /dev/kfd)
  file(GLOB nodes /sys/class/kfd/kfd/topology/nodes/*/properties)
  foreach(node ${nodes})
    # "gfx_target_version 90010" is gfx90a: major, and two decimal digits each of minor and stepping. CPUs have 0.
    file(STRINGS ${node} version REGEX "^gfx_target_version [1-9]")
    if(version)
      string(REGEX REPLACE "^gfx_target_version " "" version "${version}")
      math(EXPR major "${version} / 10000")
      math(EXPR minor "${version} / 100 % 100")
      math(EXPR stepping "${version} % 100")
      string(SUBSTRING "0123456789abcdef" ${stepping} 1 stepping)
      list(APPEND architectures gfx${major}${minor}${stepping})
    endif()
  endforeach()
endif()
if(NOT architectures)
  foreach(architecture gfx90a gfx942 gfx1030 gfx1100 gfx1201)
    isa_number(${architecture} number)
    if(EXISTS ${HIPFORGE_DEVICE_LIBS}/oclc_isa_version_${number}.bc)
      list(APPEND architectures ${architecture})
    endif()
  endforeach()
endif()
list(REMOVE_DUPLICATES architectures)
foreach(architecture ${architectures})
  isa_number(${architecture} number)
  if(NOT EXISTS ${HIPFORGE_DEVICE_LIBS}/oclc_isa_version_${number}.bc)
    message(FATAL_ERROR "platform amd: the device libraries in ${HIPFORGE_DEVICE_LIBS} do not know ${architecture}")
  endif()
endforeach()
set(CMAKE_HIP_ARCHITECTURES ${architectures})
list(JOIN architectures ", " names)
message(STATUS "AMD architectures: ${names}")

set(CMAKE_HIP_STANDARD 20)
set(CMAKE_HIP_STANDARD_REQUIRED ON)
set(CMAKE_HIP_EXTENSIONS OFF)
enable_language(HIP)
set(CMAKE_HIP_FLAGS_RELEASE "-O3" CACHE STRING "" FORCE)
# IEEE arithmetic in device code, as on every platform; said aloud, because clang's defaults have changed before.
add_compile_options("$<$<COMPILE_LANGUAGE:HIP>:-ffp-contract=off;-fhip-fp32-correctly-rounded-divide-sqrt;-fno-gpu-flush-denormals-to-zero>")
# The clang that links is told the architectures too, and has nothing to compile for them.
add_link_options($<$<LINK_LANGUAGE:HIP>:-Wno-unused-command-line-argument>)
