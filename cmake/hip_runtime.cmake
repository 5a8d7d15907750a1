# hipforge_hip_runtime: HIP's host headers and runtime library on an AMD machine. Read by the build and by the
# installed package.

find_path(HIPFORGE_HIP_INCLUDE_DIR hip/hip_runtime_api.h HINTS $ENV{ROCM_PATH} /opt/rocm PATH_SUFFIXES include REQUIRED)
find_library(HIPFORGE_HIP_LIBRARY amdhip64 HINTS $ENV{ROCM_PATH} /opt/rocm PATH_SUFFIXES lib REQUIRED)
mark_as_advanced(HIPFORGE_HIP_INCLUDE_DIR HIPFORGE_HIP_LIBRARY)
if(NOT TARGET hipforge_hip_runtime)
  add_library(hipforge_hip_runtime UNKNOWN IMPORTED)
  set_target_properties(hipforge_hip_runtime PROPERTIES
    IMPORTED_LOCATION ${HIPFORGE_HIP_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${HIPFORGE_HIP_INCLUDE_DIR})
endif()
