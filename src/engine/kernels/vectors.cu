// The updates of flat vectors of n values by a step of SGD, and back through it.

// v = momentum * before + g + decay * theta, without the first term where there is no step before; next = theta - lr * v. `v` may be
// `before`, and `next` may be `theta`.
KERNEL void sgd_step(int n, double momentum, double decay, double lr, const REAL *before, const REAL *g, const REAL *theta, REAL *v,
                     REAL *next) {
  const long i = long(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const REAL slope = decay ? g[i] + REAL(decay) * theta[i] : g[i];
  const REAL velocity = before ? REAL(momentum) * before[i] + slope : slope;
  v[i] = velocity;
  next[i] = theta[i] - REAL(lr) * velocity;
}

// nu -= lr * lambda.
KERNEL void student_back(int n, double lr, const REAL *lambda, REAL *nu) {
  const long i = long(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) nu[i] -= REAL(lr) * lambda[i];
}

// lambda += d; nu *= momentum.
KERNEL void student_before(int n, double momentum, const REAL *d, REAL *lambda, REAL *nu) {
  const long i = long(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  lambda[i] += d[i];
  nu[i] *= REAL(momentum);
}
