// Surfels into a z-buffer: what vmem_ros/memory/culling.py, occlusion.py and surfel/{splatting,ellipses}.py say.

#include <cmath>
#include <cstring>
#include <optional>

#include "machine.hpp"
#include "surfels.hpp"

extern "C" {

// Constants of the Python files above, in the order of vmem_ros/memory/surfel/compiled_splatting.py.
struct VmemSplatConstants {
  float scale, near, edge_on, least_px, covered;
  int64_t tile, first_blocks;
};
}

namespace {

using namespace vmem;

constexpr int64_t kEmpty = std::numeric_limits<int64_t>::max();
constexpr int64_t kSeen = std::numeric_limits<int64_t>::min();

inline float drawn_radius(float radius, float z, const VmemEye& camera, const VmemSplatConstants& constants) {
  return std::max(radius * constants.scale, z * (constants.least_px / std::max(camera.fx, camera.fy)));
}

// The farthest depth around every square of a pyramid; infinite while too little of it is covered.
class OcclusionPyramid {
 public:
  OcclusionPyramid(const int64_t* buffer, const VmemEye& camera, const VmemSplatConstants& constants)
      : camera_(camera), constants_(constants) {
    int64_t rows = ceiling(camera.height, constants.tile), columns = ceiling(camera.width, constants.tile);
    std::vector<float> level(rows * columns);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        level[row * columns + column] = farthest_in(buffer, row, column);
      }
    }
    for (;;) {
      keep(level, rows, columns);
      if (rows <= 1 && columns <= 1) break;
      const int64_t half_rows = ceiling(rows, 2), half_columns = ceiling(columns, 2);
      std::vector<float> half(half_rows * half_columns, -kInfinity);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t column = 0; column < columns; ++column) {
          float& farthest = half[row / 2 * half_columns + column / 2];
          farthest = std::max(farthest, level[row * columns + column]);
        }
      }
      level.swap(half);
      rows = half_rows;
      columns = half_columns;
    }
  }

  bool hides(const Vector& centre, float radius) const {
    const float nearest = centre.z - radius;
    if (!(nearest > constants_.near)) return false;
    const float tile = static_cast<float>(constants_.tile), z = std::max(centre.z, constants_.near);
    const float x = centre.x / z, y = centre.y / z;
    const float reach = (1 + std::max(std::fabs(x), std::fabs(y))) * radius / nearest;
    const float tiles = std::max(reach * (std::max(camera_.fx, camera_.fy) / tile), 1.0f);
    // The logarithm, rounded up, is the exponent of the float if nothing follows its first digit, and else one more.
    uint32_t bits;
    std::memcpy(&bits, &tiles, sizeof bits);
    const int64_t wanted = static_cast<int64_t>((bits + 0x7FFFFF) >> 23) - 127;
    const Level& level = levels_[std::min<int64_t>(wanted, levels_.size() - 1)];
    const int64_t shift = std::min<int64_t>(wanted, levels_.size() - 1);
    const int64_t column = place(x * (camera_.fx / tile) + camera_.cx / tile, camera_.width) >> shift;
    const int64_t row = place(y * (camera_.fy / tile) + camera_.cy / tile, camera_.height) >> shift;
    return nearest > level.farthest[row * level.columns + column];
  }

 private:
  struct Level {
    int64_t columns;
    std::vector<float> farthest;
  };

  int64_t place(float tiles, int64_t side) const {
    const float last = static_cast<float>(side - 1) / static_cast<float>(constants_.tile);
    return static_cast<int64_t>(std::min(std::max(tiles, 0.0f), last));
  }

  float farthest_in(const int64_t* buffer, int64_t row, int64_t column) const {
    const int64_t bottom = std::min((row + 1) * constants_.tile, camera_.height);
    const int64_t right = std::min((column + 1) * constants_.tile, camera_.width);
    int64_t seen = 0, pixels = 0;
    int32_t farthest = 0;
    for (int64_t v = row * constants_.tile; v < bottom; ++v) {
      for (int64_t u = column * constants_.tile; u < right; ++u, ++pixels) {
        const int64_t entry = buffer[v * camera_.width + u];
        if (entry >= 0) continue;
        ++seen;
        // The bits of positive floats order like the floats.
        farthest = std::max(farthest, static_cast<int32_t>(entry >> 32 & 0x7FFFFFFF));
      }
    }
    if (static_cast<float>(seen) < constants_.covered * static_cast<float>(pixels)) return kInfinity;
    float depth;
    std::memcpy(&depth, &farthest, sizeof depth);
    return depth;
  }

  // Keeps a level with each square widened by its eight neighbours.
  void keep(const std::vector<float>& level, int64_t rows, int64_t columns) {
    std::vector<float> wide(level.size(), -kInfinity);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        float& farthest = wide[row * columns + column];
        for (int64_t r = std::max<int64_t>(row - 1, 0); r <= std::min(row + 1, rows - 1); ++r) {
          for (int64_t c = std::max<int64_t>(column - 1, 0); c <= std::min(column + 1, columns - 1); ++c) {
            farthest = std::max(farthest, level[r * columns + c]);
          }
        }
      }
    }
    levels_.push_back({columns, std::move(wide)});
  }

  const VmemEye& camera_;
  const VmemSplatConstants& constants_;
  std::vector<Level> levels_;
};

// Rows of the picture that one thread draws.
struct Band {
  int64_t top, bottom;
};

// A disk in the optical frame, and the rows that it may cover.
struct Disk {
  int64_t tag;
  Vector centre, normal;
  float radius;
  int32_t top, bottom;  // the last one
};

// Disks of some blocks, and the rows that they may cover.
struct Disks {
  std::vector<Disk> disks;
  int32_t top, bottom;
  // With room for so many, so that no thread has to look for memory.
  void empty(int64_t room) {
    disks.clear();
    disks.reserve(room);
    top = std::numeric_limits<int32_t>::max();
    bottom = -1;
  }
};

// Adds a disk, if it may cover a row of the picture: ellipses.py derives which.
inline void add_disk(int64_t tag, const Vector& c, const Vector& n, float radius, const VmemEye& camera, float near,
                     Disks& out) {
  const float reach_y = radius * std::sqrt(std::max(1 - n.y * n.y, 0.0f));
  const float reach_z = radius * std::sqrt(std::max(1 - n.z * n.z, 0.0f));
  const float nearest = c.z - reach_z;
  if (!(nearest > near)) return;
  const float y0 = c.y / c.z;
  const float half_height = camera.fy * (reach_y + std::fabs(y0) * reach_z) / nearest;
  const float middle_row = camera.fy * y0 + (camera.cy - 0.5f);
  const float first = std::max(std::ceil(middle_row - half_height), 0.0f);
  const float last = std::min(std::floor(middle_row + half_height), static_cast<float>(camera.height - 1));
  if (!(last >= first)) return;
  out.disks.push_back({tag, c, n, radius, static_cast<int32_t>(first), static_cast<int32_t>(last)});
  out.top = std::min(out.top, out.disks.back().top);
  out.bottom = std::max(out.bottom, out.disks.back().bottom);
}

// Adds the disks of a block that face the camera and are not hidden.
VMEM_CLONES void add_block(const VmemSurfels& surfels, int64_t block, const VmemEye& camera,
                           const VmemSplatConstants& constants, const OcclusionPyramid* occlusion, Disks& out) {
  const int64_t end = std::min((block + 1) * surfels.per_block, surfels.n);
  for (int64_t i = block * surfels.per_block; i < end; ++i) {
    if (surfels.hidden && surfels.hidden[i]) continue;
    const Vector centre = moved(camera, surfels.position + 3 * i);
    if (!(centre.z > constants.near)) continue;
    const Vector normal = rotated(camera, surfels.normal + 3 * i);
    // Seen from behind, or so edge-on that float32 cannot tell where it is.
    if (!(dot(normal, centre) < -constants.edge_on * std::sqrt(dot(centre, centre)))) continue;
    const float radius = drawn_radius(surfels.radius[i], centre.z, camera, constants);
    if (occlusion && occlusion->hides(centre, radius)) continue;
    add_disk(surfels.provenance[i] > 0 ? i | kSeen : i, centre, normal, radius, camera, constants.near, out);
  }
}

// Lowers the pixels of one disk in a band: its span in each row in closed form, as ellipses.py derives it.
VMEM_INLINE void draw_disk(const Disk& disk, const VmemEye& camera, const Band& band, int64_t* buffer) {
  const Vector &c = disk.centre, &n = disk.normal;
  const float x0 = c.x / c.z, y0 = c.y / c.z;
  const float plane = dot(n, c), squared = disk.radius * disk.radius, beyond = dot(c, c) - squared;
  const float per_a = 1 / (plane * (plane - 2 * n.x * c.x) + beyond * n.x * n.x);
  const float b = (beyond * n.x * n.y - plane * (n.x * c.y + n.y * c.x)) * per_a;
  const float q = (plane * (plane - 2 * n.y * c.y) + beyond * n.y * n.y) * per_a;
  const float tilt = -squared * (plane / c.z) * per_a;
  const float d = tilt * n.x, e = 2 * tilt * n.y, f = tilt * (plane / c.z);
  const float q2 = b * b - q, q1 = 2 * b * d - e, q0 = d * d - f;
  const float inverse_x = n.x / plane, inverse_y = n.y / plane, slope = inverse_x / camera.fx;
  const int64_t last = std::min<int64_t>(disk.bottom, band.bottom - 1);
  for (int64_t row = std::max<int64_t>(disk.top, band.top); row <= last; ++row) {
    const float dy = (static_cast<float>(row) + (0.5f - camera.cy)) / camera.fy - y0;
    const float root = (q2 * dy + q1) * dy + q0;
    if (!(root > 0)) continue;
    const float half = std::sqrt(root), middle = x0 - (d + b * dy);
    const float left = std::max(std::ceil((middle - half) * camera.fx + (camera.cx - 0.5f)), 0.0f);
    const float right = std::min(std::floor((middle + half) * camera.fx + (camera.cx - 0.5f)),
                                 static_cast<float>(camera.width - 1));
    if (!(right >= left)) continue;
    const float dx = (left + (0.5f - camera.cx)) / camera.fx - x0;
    const float inverse = 1 / c.z + inverse_y * dy + inverse_x * dx;
    int64_t* pixel = buffer + row * camera.width + static_cast<int64_t>(left);
    const int64_t count = static_cast<int64_t>(right - left) + 1;
    for (int64_t step = 0; step < count; ++step) {
      const float depth = 1 / (inverse + slope * static_cast<float>(step));
      int32_t bits;
      std::memcpy(&bits, &depth, sizeof bits);
      const int64_t entry =
          static_cast<int64_t>(static_cast<uint64_t>(static_cast<uint32_t>(bits)) << 32) | disk.tag;
      pixel[step] = std::min(pixel[step], entry);
    }
  }
}

VMEM_CLONES void draw_disks(const Disks& part, const VmemEye& camera, const Band& band, int64_t* buffer) {
  if (part.top >= band.bottom || part.bottom < band.top) return;
  for (const Disk& disk : part.disks) {
    if (disk.top < band.bottom && disk.bottom >= band.top) draw_disk(disk, camera, band, buffer);
  }
}

}  // namespace

// Draws into buffer [height * width], see vmem_ros/memory/zbuffer.py.
extern "C" void vmem_splat(const VmemSurfels* surfels, const VmemEye* camera,
                           const VmemSplatConstants* constants, int64_t* buffer, int64_t threads) {
  std::fill(buffer, buffer + camera->width * camera->height, kEmpty);
  const auto reach = [&](float largest, float z) { return drawn_radius(largest, z, *camera, *constants); };
  std::vector<Sphere> left = blocks_in_view(*surfels, *camera, reach);
  std::sort(left.begin(), left.end(), [](const Sphere& a, const Sphere& b) { return a.nearest() < b.nearest(); });
  // More parts than threads, so that one with much to do does not keep the others waiting: of the blocks, whose disks
  // are found first, and then of the picture, in which they are drawn.
  constexpr int64_t blocks_at_once = 16, least_rows = 16;
  // With less to do another thread has not begun before all is done.
  constexpr int64_t least_blocks = 256, least_disks = 2048;
  const int64_t most_bands = std::max<int64_t>(camera->height / least_rows, 1);
  const int64_t bands = threads > 1 ? std::min(4 * threads, most_bands) : 1;
  std::vector<Disks> found;
  const auto draw = [&](int64_t start, int64_t end, const OcclusionPyramid* occlusion) {
    const int64_t parts = ceiling(end - start, blocks_at_once);
    found.resize(parts);
    for (Disks& part : found) part.empty(blocks_at_once * surfels->per_block);
    vmem::in_parallel(parts, end - start < least_blocks ? 1 : threads, [&](int64_t part) {
      const int64_t first = start + part * blocks_at_once;
      for (int64_t i = first; i < std::min(first + blocks_at_once, end); ++i) {
        add_block(*surfels, left[i].number, *camera, *constants, occlusion, found[part]);
      }
    });
    int64_t disks = 0;
    for (const Disks& part : found) disks += static_cast<int64_t>(part.disks.size());
    vmem::in_parallel(bands, disks < least_disks ? 1 : threads, [&](int64_t number) {
      const Band band{number * camera->height / bands, (number + 1) * camera->height / bands};
      for (const Disks& part : found) draw_disks(part, *camera, band, buffer);
    });
  };
  std::optional<OcclusionPyramid> occlusion;
  std::size_t size = constants->first_blocks;
  for (std::size_t start = 0; start < left.size(); size *= 2) {
    const std::size_t end = std::min(start + size, left.size());
    draw(start, end, occlusion ? &*occlusion : nullptr);
    start = end;
    if (start == left.size()) break;
    // Rooms behind walls cost next to nothing.
    occlusion.emplace(buffer, *camera, *constants);
    const auto hidden = [&](const Sphere& sphere) { return occlusion->hides(sphere.centre, sphere.radius); };
    left.erase(std::remove_if(left.begin() + start, left.end(), hidden), left.end());
  }
}
