#include <cstdint>

// Must be equal in vmem_ros/kernels/library.py: a library that was built from other sources is not used.
extern "C" int64_t vmem_kernels_version() { return 25; }
