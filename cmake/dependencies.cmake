# What hipforge stands on; all of it packaged by Debian and Ubuntu.

find_package(Threads REQUIRED)
find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)

# rocRAND's device headers alone are used on every platform but amd; its own package config pulls in all of HIP.
find_path(ROCRAND_INCLUDE_DIR rocrand/rocrand_philox4x32_10.h HINTS /opt/rocm/include REQUIRED)
