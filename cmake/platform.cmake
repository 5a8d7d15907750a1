# hipforge::platform: where <hip/hip_runtime.h> comes from, and who compiles HIP sources.

set(hipforge_platforms cpu nvidia amd)
if(NOT HIPFORGE_PLATFORM IN_LIST hipforge_platforms)
  list(JOIN hipforge_platforms ", " names)
  message(FATAL_ERROR "HIPFORGE_PLATFORM is ${HIPFORGE_PLATFORM}, supported: ${names}")
endif()

if(HIPFORGE_PLATFORM STREQUAL "nvidia")
  # The architecture of the GPU found; without one, every machine code from Ampere on that hipforge is meant for.
  # wgmma needs 90a: a 90 alone would run those kernels on ordinary arithmetic.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual)
    if(EXISTS /dev/nvidia0)
      execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE capabilities
                      RESULT_VARIABLE failed ERROR_QUIET)
      if(NOT failed)
        string(REGEX MATCHALL "[0-9]+\\.[0-9]+" capabilities "${capabilities}")
        list(REMOVE_DUPLICATES capabilities)
        list(TRANSFORM capabilities REPLACE "\\." "")
        list(TRANSFORM capabilities REPLACE "^90$" "90a")
        set(CMAKE_CUDA_ARCHITECTURES ${capabilities})
      endif()
    endif()
  endif()
  enable_language(CUDA)
  # CMake 3.25 does not know how nvcc spells C++20. The platform's header asserts that it arrived.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
  endif()
  add_compile_options($<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr>)
  set(hipforge_kernel_language CUDA)
  set(hipforge_kernel_options "")
elseif(HIPFORGE_PLATFORM STREQUAL "amd")
  include(amd_toolchain)
  set(hipforge_kernel_language HIP)
  set(hipforge_kernel_options "")
else()
  set(hipforge_kernel_language CXX)
  include(race)
  set(hipforge_kernel_options -O3 ${hipforge_race_options})
endif()
add_subdirectory(kernels/platform/${HIPFORGE_PLATFORM})

# hipforge_kernel_sources(target files...): HIP sources, compiled as the platform compiles them.
function(hipforge_kernel_sources target)
  foreach(source ${ARGN})
    set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES
                                LANGUAGE ${hipforge_kernel_language} COMPILE_OPTIONS "${hipforge_kernel_options}")
    target_sources(${target} PRIVATE ${source})
  endforeach()
endfunction()
