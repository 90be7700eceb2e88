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

// The z-buffer of vmem_ros/memory/zbuffer.py in two halves, whose minimum wins together: of an entry's upper half, which
// says whether a camera has seen the surfel and how far away it is, and of its number.
struct Buffer {
  // Behind each row there is room for what is drawn at once.
  static constexpr int64_t at_once = 8;
  static constexpr int32_t empty = std::numeric_limits<int32_t>::max(), seen = std::numeric_limits<int32_t>::min();

  Buffer(int64_t height, int64_t width) : stride(width + at_once - 1) {
    // Kept for the next picture: fresh pages would cost as much as what is done with them.
    static thread_local std::vector<int32_t> depths, numbers;
    depths.assign(height * stride, empty);
    numbers.resize(height * stride);
    depth = depths.data();
    number = numbers.data();
  }
  // Numbers are compared with signs, and have none.
  static int32_t ordered(int64_t number) { return static_cast<int32_t>(static_cast<uint32_t>(number) ^ 0x80000000u); }
  static int64_t from_ordered(int32_t number) { return static_cast<uint32_t>(number) ^ 0x80000000u; }

  const int64_t stride;
  int32_t *depth, *number;
};

inline float drawn_radius(float radius, float z, const VmemEye& camera, const VmemSplatConstants& constants) {
  return std::max(radius * constants.scale, z * (constants.least_px / std::max(camera.fx, camera.fy)));
}

// Writes for each of `columns` squares side by side the farthest depth of what is seen in them.
//
// lines: the first of `rows` of the buffer, `width` pixels; a square has `tile` pixels a side, the last one maybe less.
VMEM_CLONES void find_farthest(const int32_t* lines, int64_t stride, int64_t rows, int64_t width, int64_t tile,
                               float covered, int64_t columns, float* farthest) {
  // Whole squares, so that sums over the last one stay within.
  std::vector<int32_t> most(columns * tile), seen(columns * tile);
  for (int64_t v = 0; v < rows; ++v) {
    const int32_t* line = lines + v * stride;
    for (int64_t u = 0; u < width; ++u) {
      const bool counts = line[u] < 0;
      // The bits of positive floats order like the floats.
      const int32_t bits = counts ? line[u] & 0x7FFFFFFF : 0;
      most[u] = std::max(most[u], bits);
      seen[u] += counts;
    }
  }
  for (int64_t column = 0; column < columns; ++column) {
    int32_t count = 0, bits = 0;
    for (int64_t u = column * tile; u < (column + 1) * tile; ++u) {
      count += seen[u];
      bits = std::max(bits, most[u]);
    }
    const int64_t pixels = rows * (std::min((column + 1) * tile, width) - column * tile);
    std::memcpy(farthest + column, &bits, sizeof bits);
    if (static_cast<float>(count) < covered * static_cast<float>(pixels)) farthest[column] = kInfinity;
  }
}

// The farthest depth around every square of a pyramid; infinite while too little of it is covered.
class OcclusionPyramid {
 public:
  OcclusionPyramid(const Buffer& buffer, const VmemEye& camera, const VmemSplatConstants& constants)
      : camera_(camera), constants_(constants) {
    int64_t rows = ceiling(camera.height, constants.tile), columns = ceiling(camera.width, constants.tile);
    std::vector<float> level(rows * columns);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t top = row * constants.tile, bottom = std::min(top + constants.tile, camera.height);
      find_farthest(buffer.depth + top * buffer.stride, buffer.stride, bottom - top, camera.width, constants.tile,
                    constants.covered, columns, level.data() + row * columns);
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
  int32_t number, seen;  // as the buffer has them
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

// Surfels that are looked at together.
constexpr int kTogether = 32;

// Where surfels are for the camera, how large they are drawn, and the rows that they may cover, if any.
struct Looks {
  float x[kTogether], y[kTogether], z[kTogether], normal_x[kTogether], normal_y[kTogether], normal_z[kTogether];
  float radius[kTogether], top[kTogether], bottom[kTogether];
  int32_t drawn[kTogether];
};

// Looks at some surfels from the one numbered `first` on. Those are drawn that face the camera and whose box meets the
// picture: ellipses.py derives where it ends.
VMEM_INLINE void look(const VmemSurfels& surfels, int64_t first, int count, const VmemEye& camera,
                      const VmemSplatConstants& constants, Looks& looks) {
  const float *position = surfels.position + 3 * first, *normal = surfels.normal + 3 * first;
  const float* radius = surfels.radius + first;
  const float last_row = static_cast<float>(camera.height - 1), last_column = static_cast<float>(camera.width - 1);
  const float fx = camera.fx, fy = camera.fy, cx = camera.cx - 0.5f, cy = camera.cy - 0.5f;
  const float near = constants.near, edge_on = constants.edge_on;
  for (int k = 0; k < count; ++k) {
    const Vector c = moved(camera, position + 3 * k), n = rotated(camera, normal + 3 * k);
    const float drawn = drawn_radius(radius[k], c.z, camera, constants);
    const float reach_x = drawn * std::sqrt(std::max(1 - n.x * n.x, 0.0f));
    const float reach_y = drawn * std::sqrt(std::max(1 - n.y * n.y, 0.0f));
    const float reach_z = drawn * std::sqrt(std::max(1 - n.z * n.z, 0.0f));
    const float nearest = c.z - reach_z, x0 = c.x / c.z, y0 = c.y / c.z;
    const float half_width = fx * (reach_x + std::fabs(x0) * reach_z) / nearest, column = fx * x0 + cx;
    const float half_height = fy * (reach_y + std::fabs(y0) * reach_z) / nearest, row = fy * y0 + cy;
    const float top = std::max(std::ceil(row - half_height), 0.0f);
    const float bottom = std::min(std::floor(row + half_height), last_row);
    // Seen from behind, or so edge-on that float32 cannot tell where it is.
    const bool faces = dot(n, c) < -edge_on * std::sqrt(dot(c, c));
    // A pixel more on both sides, for rows are cut off by what they really cover.
    const bool within = (column + half_width > -1) & (column - half_width < last_column + 1) & (bottom >= top);
    looks.x[k] = c.x;
    looks.y[k] = c.y;
    looks.z[k] = c.z;
    looks.normal_x[k] = n.x;
    looks.normal_y[k] = n.y;
    looks.normal_z[k] = n.z;
    looks.radius[k] = drawn;
    looks.top[k] = top;
    looks.bottom[k] = bottom;
    looks.drawn[k] = (c.z > near) & (nearest > near) & faces & within;
  }
}

// Lets a block come that is looked at next: they lie here and there.
inline void expect(const VmemSurfels& surfels, int64_t block) {
  const int64_t first = block * surfels.per_block, end = std::min(first + surfels.per_block, surfels.n);
  constexpr int64_t line = 16;  // numbers that come together
  for (int64_t i = 3 * first; i < 3 * end; i += line) {
    __builtin_prefetch(surfels.position + i);
    __builtin_prefetch(surfels.normal + i);
  }
  for (int64_t i = first; i < end; i += line) {
    __builtin_prefetch(surfels.radius + i);
    __builtin_prefetch(surfels.provenance + i);
  }
  if (surfels.hidden) __builtin_prefetch(surfels.hidden + first);
}

// Adds the disks of a block that face the camera, may be in the picture and are not hidden.
VMEM_CLONES void add_block(const VmemSurfels& surfels, int64_t block, const VmemEye& camera,
                           const VmemSplatConstants& constants, const OcclusionPyramid* occlusion, Disks& out) {
  const int64_t end = std::min((block + 1) * surfels.per_block, surfels.n);
  Looks looks;
  for (int64_t first = block * surfels.per_block; first < end; first += kTogether) {
    const int n = static_cast<int>(std::min<int64_t>(kTogether, end - first));
    look(surfels, first, n, camera, constants, looks);
    for (int k = 0; k < n; ++k) {
      if (!looks.drawn[k] || (surfels.hidden && surfels.hidden[first + k])) continue;
      const Vector centre{looks.x[k], looks.y[k], looks.z[k]};
      if (occlusion && occlusion->hides(centre, looks.radius[k])) continue;
      const int32_t seen = surfels.provenance[first + k] > 0 ? Buffer::seen : 0;
      const Vector normal{looks.normal_x[k], looks.normal_y[k], looks.normal_z[k]};
      const int32_t top = static_cast<int32_t>(looks.top[k]), bottom = static_cast<int32_t>(looks.bottom[k]);
      out.disks.push_back({Buffer::ordered(first + k), seen, centre, normal, looks.radius[k], top, bottom});
      out.top = std::min(out.top, top);
      out.bottom = std::max(out.bottom, bottom);
    }
  }
}

// Lowers the pixels of one disk in a band: its span in each row in closed form, as ellipses.py derives it.
VMEM_INLINE void draw_disk(const Disk& disk, const VmemEye& camera, const Band& band, Buffer& buffer) {
  const Vector &c = disk.centre, &n = disk.normal;
  const float x0 = c.x / c.z, y0 = c.y / c.z;
  const float plane = dot(n, c), squared = disk.radius * disk.radius, beyond = dot(c, c) - squared;
  const float per_a = 1 / (plane * (plane - 2 * n.x * c.x) + beyond * n.x * n.x);
  const float b = (beyond * n.x * n.y - plane * (n.x * c.y + n.y * c.x)) * per_a;
  const float q = (plane * (plane - 2 * n.y * c.y) + beyond * n.y * n.y) * per_a;
  const float tilt = -squared * (plane / c.z) * per_a;
  const float d = tilt * n.x, e = 2 * tilt * n.y, f = tilt * (plane / c.z);
  const float q2 = b * b - q, q1 = 2 * b * d - e, q0 = d * d - f;
  const float fx = camera.fx, fy = camera.fy, inverse_z = 1 / c.z;
  const float inverse_x = n.x / plane, inverse_y = n.y / plane, slope = inverse_x / fx;
  const float to_column = camera.cx - 0.5f, to_x = 0.5f - camera.cx, to_y = 0.5f - camera.cy;
  const float last_column = static_cast<float>(camera.width - 1);
  const int64_t last = std::min<int64_t>(disk.bottom, band.bottom - 1);
  const int32_t number = disk.number, seen = disk.seen;
  constexpr int rows_at_once = 8;
  for (int64_t first = std::max<int64_t>(disk.top, band.top); first <= last; first += rows_at_once) {
    float lefts[rows_at_once], rights[rows_at_once], inverses[rows_at_once];
    for (int k = 0; k < rows_at_once; ++k) {
      const float dy = (static_cast<float>(static_cast<int32_t>(first) + k) + to_y) / fy - y0;
      const float root = (q2 * dy + q1) * dy + q0;
      const float half = std::sqrt(root), middle = x0 - (d + b * dy);
      const float left = std::max(std::ceil((middle - half) * fx + to_column), 0.0f);
      const float right = std::min(std::floor((middle + half) * fx + to_column), last_column);
      const float dx = (left + to_x) / fx - x0;
      lefts[k] = left;
      rights[k] = root > 0 ? right : -1.0f;
      inverses[k] = inverse_z + inverse_y * dy + inverse_x * dx;
    }
    const int rows = static_cast<int>(std::min<int64_t>(rows_at_once, last - first + 1));
    for (int k = 0; k < rows; ++k) {
      if (!(rights[k] >= lefts[k])) continue;
      const int64_t start = (first + k) * buffer.stride + static_cast<int64_t>(lefts[k]);
      int32_t *depths = buffer.depth + start, *numbers = buffer.number + start;
      const int32_t count = static_cast<int32_t>(rights[k] - lefts[k]) + 1;
      const int32_t whole = (count + Buffer::at_once - 1) / Buffer::at_once * Buffer::at_once;
      const float inverse = inverses[k];
      for (int32_t step = 0; step < whole; ++step) {
        const float depth = 1 / (inverse + slope * static_cast<float>(step));
        int32_t bits;
        std::memcpy(&bits, &depth, sizeof bits);
        bits |= seen;
        const bool equal = (bits == depths[step]) & (number < numbers[step]);
        const bool wins = (step < count) & ((bits < depths[step]) | equal);
        depths[step] = wins ? bits : depths[step];
        numbers[step] = wins ? number : numbers[step];
      }
    }
  }
}

VMEM_CLONES void draw_disks(const Disks& part, const VmemEye& camera, const Band& band, Buffer& buffer) {
  if (part.top >= band.bottom || part.bottom < band.top) return;
  for (const Disk& disk : part.disks) {
    if (disk.top < band.bottom && disk.bottom >= band.top) draw_disk(disk, camera, band, buffer);
  }
}

// Takes the entries of a row apart.
VMEM_CLONES void take_apart(const int32_t* depths, const int32_t* numbers, int64_t width, int64_t* ids, float* depth,
                            uint8_t* imagined) {
  constexpr int32_t positive = 0x7FFFFFFF;
  for (int64_t i = 0; i < width; ++i) {
    const bool empty = depths[i] == Buffer::empty;
    const int32_t bits = depths[i] & positive;  // of an empty pixel no number
    std::memcpy(depth + i, &bits, sizeof bits);
    imagined[i] = (depths[i] >= 0) & !empty;
    ids[i] = empty ? -1 : Buffer::from_ordered(numbers[i]);
  }
}

}  // namespace

// Draws into ids, depth and imagined [height, width]; see vmem_ros/memory/surfel/splatting.py.
extern "C" void vmem_splat(const VmemSurfels* surfels, const VmemEye* camera, const VmemSplatConstants* constants,
                           int64_t* ids, float* depth, uint8_t* imagined, int64_t threads) {
  Buffer buffer(camera->height, camera->width);
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
        if (i + 1 < end) expect(*surfels, left[i + 1].number);
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
  for (int64_t row = 0; row < camera->height; ++row) {
    const int64_t from = row * buffer.stride, to = row * camera->width;
    take_apart(buffer.depth + from, buffer.number + from, camera->width, ids + to, depth + to,
               imagined + to);
  }
}
