# What hipforge stands on; all of it packaged by Debian and Ubuntu.

find_package(Threads REQUIRED)
find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)

# rocRAND's device headers alone are used on every platform but amd; its own package config pulls in all of HIP.
find_path(ROCRAND_INCLUDE_DIR rocrand/rocrand_philox4x32_10.h HINTS /opt/rocm/include REQUIRED)

# PCRE2 ships no CMake config, and a pkg-config file would not follow a relocated root.
find_path(PCRE2_INCLUDE_DIR pcre2.h REQUIRED)
find_library(PCRE2_LIBRARY pcre2-8 REQUIRED)
add_library(hipforge_pcre2 UNKNOWN IMPORTED GLOBAL)
set_target_properties(hipforge_pcre2 PROPERTIES IMPORTED_LOCATION ${PCRE2_LIBRARY}
                                                INTERFACE_INCLUDE_DIRECTORIES ${PCRE2_INCLUDE_DIR})
