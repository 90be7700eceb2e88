// Stored views, as pixels of a target camera meet them: what vmem_ros/memory/other_view.py says.
#pragma once

#include <cstdint>

extern "C" {

struct VmemView {
  const uint8_t* image;     // [height, width, 3]
  const float* depth;       // [height, width]
  const float* confidence;  // [height, width] or null
  int64_t width, height;
  int64_t observed;     // a camera took it
  float projection[12];  // [3, 4] pixels of the target and depth to pixels of the view
  float centre[3];       // of the view, in the frame of the target
  float gain[3];         // of its colours
  float weight;          // of its colours against those of others
};
}
