// data/augment.rs on a GPU, with the rows of the images that a step sees: a block of threads processes one image (c, h, w). Every
// operation is linear but for the constant of the brightness, so the gradient is the transposed map, gathered: no two threads add
// into one place.
enum { AS_THEY_ARE, COLOR, CROP, CUTOUT, FLIP, SCALE, ROTATE };
#define PI 3.14159265358979323846
#define SCALE_RATIO 1.2

// The weight of a pixel at this distance in linear interpolation.
DEVICE REAL tent(REAL distance) {
  const REAL weight = REAL(1) - (distance < 0 ? -distance : distance);
  return weight > 0 ? weight : REAL(0);
}
DEVICE int clamped(long i, int side) { return i < 0 ? 0 : i >= side ? side - 1 : int(i); }

// Of one axis: the first and last cell that a square around `centre` blanks.
DEVICE void blanked(long centre, int side, int *first, int *last) {
  const int square = int(side * 0.5 + 0.5);
  *first = clamped(centre - square / 2, side), *last = clamped(centre - square / 2 + square - 1, side);
}

// Where an output pixel takes its value: at pitch * i + offset.
DEVICE REAL pitch_of(REAL u) { return u * REAL(SCALE_RATIO - 1 / SCALE_RATIO) + REAL(1 / SCALE_RATIO); }
DEVICE REAL offset_of(REAL pitch, int side) { return (REAL(1) - pitch) * REAL(side - 1) / 2; }
DEVICE REAL angle_of(REAL u) { return (u - REAL(0.5)) * REAL(2 * 15.0 / 180 * PI); }

// The sum of x over the places around (row, column), weighted by their distance; 0 outside.
DEVICE REAL interpolated(const REAL *x, int h, int w, REAL row, REAL column) {
  const int top = int(floor(row)), left = int(floor(column));
  REAL value = 0;
  for (int r = top; r <= top + 1; r++)
    for (int c = left; c <= left + 1; c++)
      if (r >= 0 && r < h && c >= 0 && c < w) value += tent(row - r) * tent(column - c) * x[r * w + c];
  return value;
}

// The numbers of image n: real ones for colours, flips, scales and turns, whole ones for crops and cutouts.
struct Numbers {
  REAL u[3];
  long k[2];
};
DEVICE Numbers numbers_of(int family, long n, const void *a, const void *b, const void *c) {
  Numbers of = {{0, 0, 0}, {0, 0}};
  if (family == CROP || family == CUTOUT) {
    of.k[0] = ((const long long *)a)[n], of.k[1] = ((const long long *)b)[n];
  } else if (family != AS_THEY_ARE) {
    of.u[0] = ((const REAL *)a)[n];
    if (b) of.u[1] = ((const REAL *)b)[n];
    if (c) of.u[2] = ((const REAL *)c)[n];
  }
  return of;
}

// The families that move or blank pixels: the value of an output pixel of a plane.
DEVICE REAL moved(int family, const Numbers &of, const REAL *x, int h, int w, int row, int column) {
  switch (family) {
    case CROP: {
      const long r = row + of.k[0], c = column + of.k[1];
      return r >= 0 && r < h && c >= 0 && c < w ? x[r * w + c] : REAL(0);
    }
    case CUTOUT: {
      int top, bottom, left, right;
      blanked(of.k[0], h, &top, &bottom), blanked(of.k[1], w, &left, &right);
      return row >= top && row <= bottom && column >= left && column <= right ? REAL(0) : x[row * w + column];
    }
    case FLIP: return x[row * w + (of.u[0] < REAL(0.5) ? w - 1 - column : column)];
    case SCALE: {
      const REAL across = pitch_of(of.u[0]), down = pitch_of(of.u[1]);
      return interpolated(x, h, w, down * row + offset_of(down, h), across * column + offset_of(across, w));
    }
    case ROTATE: {
      const REAL s = sin(angle_of(of.u[0])), c = cos(angle_of(of.u[0])), cy = REAL(h - 1) / 2, cx = REAL(w - 1) / 2;
      const REAL y = row - cy, z = column - cx;
      return interpolated(x, h, w, s * z + c * y + cy, c * z - s * y + cx);
    }
    default: return x[row * w + column];
  }
}

// The transposed map: the gradient of an input pixel of a plane, from those of the outputs.
DEVICE REAL moved_back(int family, const Numbers &of, const REAL *d, int h, int w, int row, int column) {
  switch (family) {
    case CROP: {
      const long r = row - of.k[0], c = column - of.k[1];
      return r >= 0 && r < h && c >= 0 && c < w ? d[r * w + c] : REAL(0);
    }
    case SCALE: {
      const REAL across = pitch_of(of.u[0]), down = pitch_of(of.u[1]), x0 = offset_of(across, w), y0 = offset_of(down, h);
      const int left = int(floor((column - 1 - x0) / across)), right = int(ceil((column + 1 - x0) / across));
      const int top = int(floor((row - 1 - y0) / down)), bottom = int(ceil((row + 1 - y0) / down));
      REAL value = 0;
      for (int r = top < 0 ? 0 : top; r <= bottom && r < h; r++)
        for (int c = left < 0 ? 0 : left; c <= right && c < w; c++)
          value += tent(down * r + y0 - row) * tent(across * c + x0 - column) * d[r * w + c];
      return value;
    }
    case ROTATE: {
      const REAL s = sin(angle_of(of.u[0])), c = cos(angle_of(of.u[0])), cy = REAL(h - 1) / 2, cx = REAL(w - 1) / 2;
      // the output that looks at this pixel; turned by 15 degrees at most, those that see it are less than 1.23 rows and columns away
      const int i = int(floor(c * (row - cy) - s * (column - cx) + cy)), j = int(floor(s * (row - cy) + c * (column - cx) + cx));
      REAL value = 0;
      for (int r = i - 1; r <= i + 2; r++)
        for (int q = j - 1; q <= j + 2; q++) {
          if (r < 0 || r >= h || q < 0 || q >= w) continue;
          const REAL y = r - cy, z = q - cx;
          value += tent(s * z + c * y + cy - row) * tent(c * z - s * y + cx - column) * d[r * w + q];
        }
      return value;
    }
    // a cutout and a flip are their own transposes
    default: return moved(family, of, d, h, w, row, column);
  }
}

// out[n] = the augmented images[rows[n]].
KERNEL void augment(int family, int channels, int h, int w, const long long *rows, const void *a, const void *b, const void *c,
                    const REAL *images, REAL *out) {
  SHARED(shared);
  const int len = h * w;
  const long n = blockIdx.x, size = long(channels) * len;
  const Numbers of = numbers_of(family, n, a, b, c);
  const REAL *x = images + rows[n] * size;
  out += n * size;
  if (family != COLOR) {
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      out[i] = moved(family, of, x + i / len * len, h, w, i % len / w, i % w);
    return;
  }
  REAL total[1] = {0};
  for (int i = threadIdx.x; i < size; i += blockDim.x) total[0] += x[i];
  sum(total, shared);
  const REAL brighter = of.u[0] - REAL(0.5), saturation = 2 * of.u[1], contrast = of.u[2] + REAL(0.5);
  const REAL mean = total[0] / size + brighter;
  for (int i = threadIdx.x; i < len; i += blockDim.x) {
    REAL grey = 0;
    for (int k = 0; k < channels; k++) grey += x[k * len + i] + brighter;
    grey /= channels;
    for (int k = 0; k < channels; k++) {
      const REAL saturated = (x[k * len + i] + brighter - grey) * saturation + grey;
      out[k * len + i] = (saturated - mean) * contrast + mean;
    }
  }
}

// d_images[rows[n]] += the gradient that d[n], with respect to the augmented images, gives them. Every row occurs once.
KERNEL void augment_back(int family, int channels, int h, int w, const long long *rows, const void *a, const void *b, const void *c,
                         const REAL *d, REAL *d_images) {
  SHARED(shared);
  const int len = h * w;
  const long n = blockIdx.x, size = long(channels) * len;
  const Numbers of = numbers_of(family, n, a, b, c);
  d += n * size, d_images += rows[n] * size;
  if (family != COLOR) {
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      d_images[i] += moved_back(family, of, d + i / len * len, h, w, i % len / w, i % w);
    return;
  }
  REAL total[1] = {0};
  for (int i = threadIdx.x; i < size; i += blockDim.x) total[0] += d[i];
  sum(total, shared);
  const REAL saturation = 2 * of.u[1], contrast = of.u[2] + REAL(0.5), shared_part = (1 - contrast) * total[0] / size;
  for (int i = threadIdx.x; i < len; i += blockDim.x) {
    REAL grey = 0;
    for (int k = 0; k < channels; k++) grey += d[k * len + i];
    grey /= channels;
    for (int k = 0; k < channels; k++)
      d_images[k * len + i] += contrast * (saturation * d[k * len + i] + (1 - saturation) * grey) + shared_part;
  }
}
