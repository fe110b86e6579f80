// The updates of flat vectors of n values between two student steps.

// v = momentum * before + g, or g without a step before; next = theta - lr * v.
KERNEL void student_step(int n, double momentum, double lr, const REAL *before, const REAL *g, const REAL *theta, REAL *v, REAL *next) {
  const long i = long(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const REAL velocity = before ? REAL(momentum) * before[i] + g[i] : g[i];
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
