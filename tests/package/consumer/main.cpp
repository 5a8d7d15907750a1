#include <kernels/rms_norm.h>
#include <kernels/runtime/device.h>
#include <kernels/runtime/device_buffer.h>

#include <array>
#include <cmath>
#include <cstdio>

int main() {
  try {
    int devices = 0;
    hipforge::throw_if_error(hipforge::usable_devices(devices));
    const std::array<float, 2> x{3.0f, 4.0f};
    const std::array<float, 2> weight{1.0f, 1.0f};
    std::array<float, 2> y{};
    hipforge::DeviceBuffer x_device(sizeof(x));
    hipforge::DeviceBuffer weight_device(sizeof(weight));
    const hipforge::DeviceBuffer y_device(sizeof(y));
    x_device.upload(std::as_bytes(std::span(x)));
    weight_device.upload(std::as_bytes(std::span(weight)));
    hipforge::RmsNormParams params;
    params.x = x_device.view(hipforge::DType::kF32, {1, 2});
    params.weight = weight_device.view(hipforge::DType::kF32, {2});
    params.y = y_device.view(hipforge::DType::kF32, {1, 2});
    params.eps = 0.0f;
    hipforge::throw_if_error(hipforge::rms_norm(params, nullptr));
    y_device.download(std::as_writable_bytes(std::span(y)));
    const bool right = std::fabs(y[0] - 3.0f / std::sqrt(12.5f)) < 1e-6f;
    std::printf("rms_norm of (3, 4): %g %g\n", static_cast<double>(y[0]), static_cast<double>(y[1]));
    return right ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
