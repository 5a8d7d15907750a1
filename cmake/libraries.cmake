# hipforge::kernels and hipforge::reference, from the slices that choose_ops chose.

# Nothing but the headers that the others read precompiled.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cpp CONTENT "")
add_library(hipforge_common OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
target_link_libraries(hipforge_common PRIVATE hipforge_platform fmt::fmt)
hipforge_warnings(hipforge_common)
hipforge_precompile(hipforge_common ${hipforge_common_headers})

file(GLOB runtime_sources CONFIGURE_DEPENDS kernels/runtime/*.cpp)
add_library(hipforge_kernels STATIC ${runtime_sources})
add_library(hipforge::kernels ALIAS hipforge_kernels)
target_link_libraries(hipforge_kernels PUBLIC hipforge_platform)
# Headers alone, for the recorder: nothing that an installed package would ask its user for.
target_link_libraries(hipforge_kernels PRIVATE $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>)
target_include_directories(hipforge_kernels PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                   $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/hipforge>)
target_include_directories(hipforge_kernels SYSTEM PRIVATE ${ROCRAND_INCLUDE_DIR})
target_compile_features(hipforge_kernels PUBLIC cxx_std_20)
hipforge_warnings(hipforge_kernels)
hipforge_precompile(hipforge_kernels ${hipforge_kernel_headers})
# Behind a precompiled header g++ 12 sees reads of sums before they are made that are not there.
set_source_files_properties(kernels/flash_attention/mma.hip PROPERTIES SKIP_PRECOMPILE_HEADERS ON)

add_library(hipforge_reference STATIC)
add_library(hipforge::reference ALIAS hipforge_reference)
target_link_libraries(hipforge_reference PUBLIC Eigen3::Eigen)
target_include_directories(hipforge_reference PUBLIC ${PROJECT_SOURCE_DIR})
hipforge_warnings(hipforge_reference)
hipforge_precompile(hipforge_reference <Eigen/Core> <cmath> <limits> <span> <vector>)
hipforge_unity(hipforge_reference 7)

foreach(op ${hipforge_ops})
  hipforge_kernel_sources(hipforge_kernels ${PROJECT_SOURCE_DIR}/kernels/${op}.hip)
  # An op that outgrew a file keeps the rest in a folder of its name.
  file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/${op}/*.hip)
  if(parts)
    hipforge_kernel_sources(hipforge_kernels ${parts})
  endif()
  target_sources(hipforge_reference PRIVATE ${PROJECT_SOURCE_DIR}/reference/${op}.cpp)
endforeach()
