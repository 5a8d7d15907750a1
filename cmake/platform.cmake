# hipforge::platform: where <hip/hip_runtime.h> comes from.

set(hipforge_platforms cpu)
if(NOT HIPFORGE_PLATFORM IN_LIST hipforge_platforms)
  list(JOIN hipforge_platforms ", " names)
  message(FATAL_ERROR "HIPFORGE_PLATFORM is ${HIPFORGE_PLATFORM}, supported: ${names}")
endif()
add_subdirectory(kernels/platform/${HIPFORGE_PLATFORM})

# hipforge_kernel_sources(target files...): HIP sources, compiled as the platform compiles them.
function(hipforge_kernel_sources target)
  foreach(source ${ARGN})
    set_source_files_properties(${source} TARGET_DIRECTORY ${target} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-O3")
    target_sources(${target} PRIVATE ${source})
  endforeach()
endfunction()
