# find_package(hipforge): the kernels, their public headers and the platform that they were built for.

include(CMakePackageConfigHelpers)

install(TARGETS hipforge_kernels hipforge_platform EXPORT hipforge_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
set_target_properties(hipforge_kernels PROPERTIES EXPORT_NAME kernels)
set_target_properties(hipforge_platform PROPERTIES EXPORT_NAME platform)
install(EXPORT hipforge_targets NAMESPACE hipforge:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipforge)

foreach(op ${hipforge_ops})
  install(FILES kernels/${op}.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipforge/kernels)
endforeach()
foreach(room runtime device)
  install(DIRECTORY kernels/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipforge/kernels
          FILES_MATCHING PATTERN "*.h")
endforeach()

# For whoever writes a kernel that hipforge is to check and time.
install(FILES harness/candidate/hipforge_candidate.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipforge)
install(FILES ${PROJECT_BINARY_DIR}/include/hipforge_candidate_ops.h OPTIONAL
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipforge)

if(HIPFORGE_PLATFORM STREQUAL "amd")
  install(FILES cmake/hip_runtime.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipforge)
else()
  install(DIRECTORY kernels/platform/${HIPFORGE_PLATFORM}/include/
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipforge/platform)
endif()

configure_package_config_file(cmake/hipforge-config.cmake.in ${PROJECT_BINARY_DIR}/hipforge-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipforge)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hipforge-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hipforge-config.cmake ${PROJECT_BINARY_DIR}/hipforge-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hipforge)
