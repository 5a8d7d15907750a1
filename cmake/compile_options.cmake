# How every target of ours is compiled.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Kernels are named by looking their addresses up, and modules resolve the platform in the executable.
set(CMAKE_ENABLE_EXPORTS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Asserts stay in: they guard internal invariants, and none stands in a hot loop.
set(CMAKE_CXX_FLAGS_RELEASE "-O2" CACHE STRING "" FORCE)

# Nothing may relax IEEE arithmetic: NaN, infinity and division are part of every op's contract.
foreach(flag -ffast-math -Ofast -funsafe-math-optimizations -ffinite-math-only --use_fast_math)
  foreach(flags "${CMAKE_CXX_FLAGS}" "${CMAKE_CXX_FLAGS_${CMAKE_BUILD_TYPE}}" "${CMAKE_HIP_FLAGS}" "$ENV{CXXFLAGS}" "$ENV{HIPFLAGS}")
    if("${flags}" MATCHES "(^| )${flag}( |$)")
      message(FATAL_ERROR "hipforge cannot be built with ${flag}: its results would no longer be IEEE")
    endif()
  endforeach()
endforeach()
# A fused multiply-add is written as one, never made by the compiler: results do not depend on its mood.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off> $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false>)

# The code is built where it runs. With hardware FMA and half conversions fmaf is an instruction, not a call.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND EXISTS /proc/cpuinfo)
  file(STRINGS /proc/cpuinfo cpu_flags REGEX "^flags" LIMIT_COUNT 1)
  set(vector_default ON)
  foreach(flag avx2 fma f16c bmi2)
    if(NOT "${cpu_flags} " MATCHES " ${flag} ")
      set(vector_default OFF)
    endif()
  endforeach()
  option(HIPFORGE_X86_64_V3 "Compile for AVX2, FMA and F16C" ${vector_default})
  if(HIPFORGE_X86_64_V3)
    foreach(flag -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt)
      add_compile_options($<$<COMPILE_LANGUAGE:CXX>:${flag}> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${flag}>)
    endforeach()
  endif()
endif()

if(HIPFORGE_SANITIZE)
  if(NOT HIPFORGE_SANITIZE STREQUAL "address")
    message(FATAL_ERROR "HIPFORGE_SANITIZE is ${HIPFORGE_SANITIZE}, supported: address")
  endif()
  # Instrumented code makes g++ see uninitialised reads in the standard library's own templates.
  add_compile_options(-fsanitize=${HIPFORGE_SANITIZE} -fno-omit-frame-pointer -g1 -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=${HIPFORGE_SANITIZE})
endif()

# hipforge_warnings(target): our own code is warning-free.
function(hipforge_warnings target)
  foreach(warning -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX,HIP>:${warning}>)
    # The code that nvcc wraps around a kernel is not pedantic.
    if(NOT warning STREQUAL "-Wpedantic")
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${warning}>)
    endif()
  endforeach()
  # A loop that one clang unrolls and another does not is a matter of speed, which the code objects are held to.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:HIP>:-Wno-pass-failed>)
  # `#pragma unroll` speaks to clang and nvcc; g++ unrolls these loops without being asked.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>
                                             $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wno-unknown-pragmas>)
    # In an inlined copy of a vector g++ 13 sees accesses out of bounds that are not there.
    if(CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
      foreach(warning array-bounds stringop-overflow stringop-overread)
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-${warning}>
                                                 $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wno-${warning}>)
      endforeach()
    endif()
  endif()
endfunction()

# What nearly every source of ours reads, for hipforge_precompile. Not JSON, regular expressions and dates: every source
# would pay for their templates, more than a source that needs them saves.
set(hipforge_kernel_headers <hip/hip_runtime.h> <algorithm> <array> <cmath> <functional> <limits> <optional> <string>
    <type_traits> <vector>)
set(hipforge_common_headers ${hipforge_kernel_headers} <fmt/format.h> <map> <set> <span>)

# A compiler whose -O1 and -O2 differ in more than one reads another's headers anew, and need not warn of it.
set(CMAKE_PCH_WARN_INVALID OFF)

# hipforge_precompile(target headers... | REUSE_FROM other): reads the headers once, or what `other` reads once serves
# here too. Not of a build for races: what replaces memcpy there must be read before any header.
function(hipforge_precompile target)
  if(HIPFORGE_RACE OR NOT HIPFORGE_UNITY)
    return()
  endif()
  if(ARGV1 STREQUAL "REUSE_FROM")
    target_precompile_headers(${target} ${ARGN})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
  # What was precompiled for a library serves an executable only if their code is of one kind.
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fPIC>)
  endif()
endfunction()

# hipforge_quick_to_build(target [SOURCES files...]): what prints, parses and starts processes is not worth -O2's time.
function(hipforge_quick_to_build target)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  if(arg_SOURCES)
    set_property(SOURCE ${arg_SOURCES} TARGET_DIRECTORY ${target} APPEND PROPERTY COMPILE_OPTIONS
                 $<$<COMPILE_LANGUAGE:CXX>:-O1>)
  else()
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O1>)
  endif()
endfunction()

# hipforge_unity(target size|GROUP): so many sources, or those of a UNITY_GROUP, are compiled as one, which reads their
# headers once.
function(hipforge_unity target size)
  if(NOT HIPFORGE_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON)
  if(size STREQUAL "GROUP")
    set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
  else()
    set_target_properties(${target} PROPERTIES UNITY_BUILD_BATCH_SIZE ${size})
  endif()
endfunction()
