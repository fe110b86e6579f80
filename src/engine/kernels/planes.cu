// The passes of network/analytic/planes.rs, which has their formulas: a block of threads processes one plane (one channel of one
// image, h x w values). The gradients of gamma and beta come out for every plane, as two tensors (N, C) one after the other.
#define EPS 1e-5

// Where the planes of two tensors that are held as one lie: (2, N, C, H, W) or, by channel, (N, 2, C, H, W).
DEVICE long first_of(long plane, int channels, int by_channel) {
  return by_channel ? (plane / channels) * 2 * channels + plane % channels : plane;
}
DEVICE long second_of(long plane, int channels, long planes, int by_channel) {
  return by_channel ? first_of(plane, channels, 1) + channels : planes + plane;
}

// Not a number stays so.
DEVICE bool on(REAL v) { return !(v <= REAL(0)); }

// z -> n in place; a; 1/s of the plane.
KERNEL void planes_forward(int channels, int h, int w, const REAL *gamma, const REAL *beta, REAL *z, REAL *a, REAL *scales) {
  SHARED(shared);
  const long plane = blockIdx.x;
  const int len = h * w, c = plane % channels, pw = w / 2, pooled = (h / 2) * pw;
  z += plane * len, a += plane * pooled;
  REAL m[1] = {0}, q[1] = {0};
  for (int i = threadIdx.x; i < len; i += blockDim.x) m[0] += z[i];
  sum(m, shared);
  const REAL mean = m[0] / len;
  for (int i = threadIdx.x; i < len; i += blockDim.x) q[0] += (z[i] - mean) * (z[i] - mean);
  sum(q, shared);
  const REAL scale = REAL(1) / sqrt(q[0] / len + REAL(EPS)), g = gamma[c], b = beta[c];
  for (int i = threadIdx.x; i < len; i += blockDim.x) z[i] = (z[i] - mean) * scale;
  if (threadIdx.x == 0) scales[plane] = scale;
  __syncthreads();
  for (int i = threadIdx.x; i < pooled; i += blockDim.x) {
    const REAL *n = z + 2 * (i / pw) * w + 2 * (i % pw);
    const REAL v[4] = {g * n[0] + b, g * n[1] + b, g * n[w] + b, g * n[w + 1] + b};
    REAL s = 0;
    for (int k = 0; k < 4; k++) s += on(v[k]) ? v[k] : REAL(0);
    a[i] = s / 4;
  }
}

// The gradient of pooling and relu at value i.
DEVICE REAL unpooled(int i, int w, int ph, int pw, const REAL *d_a, bool is_on) {
  const int row = i / w / 2, column = i % w / 2;
  return is_on && row < ph && column < pw ? d_a[row * pw + column] / 4 : REAL(0);
}

// d_a -> d_z; the gradients of gamma and beta.
KERNEL void planes_backward(int channels, int h, int w, const REAL *gamma, const REAL *beta, const REAL *n, const REAL *scales,
                            const REAL *d_a, REAL *d_z, REAL *d_affine) {
  SHARED(shared);
  const long plane = blockIdx.x;
  const int len = h * w, c = plane % channels, ph = h / 2, pw = w / 2;
  n += plane * len, d_z += plane * len, d_a += plane * ph * pw;
  const REAL g = gamma[c], b = beta[c];
  REAL s[2] = {0, 0};
  for (int i = threadIdx.x; i < len; i += blockDim.x) {
    const REAL d_v = unpooled(i, w, ph, pw, d_a, on(g * n[i] + b));
    s[0] += d_v, s[1] += d_v * n[i];
  }
  sum(s, shared);
  if (threadIdx.x == 0) d_affine[plane] = s[1], d_affine[gridDim.x + plane] = s[0];
  const REAL mean = s[0] / len, mean_n = s[1] / len, scale = g * scales[plane];
  for (int i = threadIdx.x; i < len; i += blockDim.x)
    d_z[i] = (unpooled(i, w, ph, pw, d_a, on(g * n[i] + b)) - mean - n[i] * mean_n) * scale;
}

// z_dot -> n_dot in place; a and a_dot; s_dot of the plane.
KERNEL void planes_forward_tangent(int channels, int h, int w, const REAL *gamma, const REAL *beta, const REAL *gamma_dot,
                                   const REAL *beta_dot, const REAL *n, const REAL *scales, REAL *z_dot, REAL *pair, int by_channel,
                                   REAL *s_dots) {
  SHARED(shared);
  const long plane = blockIdx.x;
  const int len = h * w, c = plane % channels, pw = w / 2, pooled = (h / 2) * pw;
  n += plane * len, z_dot += plane * len;
  REAL *a = pair + first_of(plane, channels, by_channel) * pooled;
  REAL *a_dot = pair + second_of(plane, channels, gridDim.x, by_channel) * pooled;
  REAL s[2] = {0, 0};
  for (int i = threadIdx.x; i < len; i += blockDim.x) s[0] += z_dot[i], s[1] += z_dot[i] * n[i];
  sum(s, shared);
  const REAL mean = s[0] / len, s_dot = s[1] / len, scale = scales[plane];
  for (int i = threadIdx.x; i < len; i += blockDim.x) z_dot[i] = (z_dot[i] - mean - n[i] * s_dot) * scale;
  if (threadIdx.x == 0) s_dots[plane] = s_dot;
  __syncthreads();
  const REAL g = gamma[c], b = beta[c], g_dot = gamma_dot[c], b_dot = beta_dot[c];
  for (int i = threadIdx.x; i < pooled; i += blockDim.x) {
    const int at = 2 * (i / pw) * w + 2 * (i % pw), four[4] = {at, at + 1, at + w, at + w + 1};
    REAL v = 0, v_dot = 0;
    for (int k = 0; k < 4; k++) {
      const REAL x = n[four[k]], u = g * x + b;
      if (on(u)) v += u, v_dot += g_dot * x + g * z_dot[four[k]] + b_dot;
    }
    a[i] = v / 4, a_dot[i] = v_dot / 4;
  }
}

// d_a and d_a_dot -> [d_z_dot, d_z]; the derivatives of the gradients of gamma and beta.
KERNEL void planes_backward_tangent(int channels, int h, int w, const REAL *gamma, const REAL *beta, const REAL *gamma_dot,
                                    const REAL *n, const REAL *n_dot, const REAL *scales, const REAL *s_dots, const REAL *d_a,
                                    const REAL *d_a_dot, REAL *pair, int by_channel, REAL *d_affine_dot) {
  SHARED(shared);
  const long plane = blockIdx.x;
  const int len = h * w, c = plane % channels, ph = h / 2, pw = w / 2;
  n += plane * len, n_dot += plane * len, d_a += plane * ph * pw, d_a_dot += plane * ph * pw;
  REAL *d_z_dot = pair + first_of(plane, channels, by_channel) * len;
  REAL *d_z = pair + second_of(plane, channels, gridDim.x, by_channel) * len;
  const REAL g = gamma[c], b = beta[c], g_dot = gamma_dot[c];
  REAL s[4] = {0, 0, 0, 0};
  for (int i = threadIdx.x; i < len; i += blockDim.x) {
    const bool is_on = on(g * n[i] + b);
    const REAL d = unpooled(i, w, ph, pw, d_a, is_on), d_dot = unpooled(i, w, ph, pw, d_a_dot, is_on);
    s[0] += d, s[1] += d * n[i], s[2] += d_dot, s[3] += d_dot * n[i] + d * n_dot[i];
  }
  sum(s, shared);
  if (threadIdx.x == 0) d_affine_dot[plane] = s[3], d_affine_dot[gridDim.x + plane] = s[2];
  const REAL share = REAL(1) / len, mean = g * s[0] * share, mean_n = g * s[1] * share;
  const REAL mean_dot = (g * s[2] + g_dot * s[0]) * share, mean_n_dot = (g * s[3] + g_dot * s[1]) * share;
  const REAL scale = scales[plane], shrink = s_dots[plane] * scale;
  for (int i = threadIdx.x; i < len; i += blockDim.x) {
    const bool is_on = on(g * n[i] + b);
    const REAL d = unpooled(i, w, ph, pw, d_a, is_on), d_dot = unpooled(i, w, ph, pw, d_a_dot, is_on);
    const REAL e = g * d - mean - n[i] * mean_n;
    const REAL e_dot = g * d_dot + g_dot * d - mean_dot - n_dot[i] * mean_n - n[i] * mean_n_dot;
    d_z[i] = e * scale, d_z_dot[i] = (e_dot - e * shrink) * scale;
  }
}
