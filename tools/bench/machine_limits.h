/* What this machine can do at most, measured on the spot: the scale against which kernels and models are judged. Best
 * of several rounds, so that a busy machine lowers the figures as little as possible. 0 where a measurement was not
 * possible. */
#ifndef TOOLS_BENCH_MACHINE_LIMITS_H
#define TOOLS_BENCH_MACHINE_LIMITS_H

/* Floating-point operations per second of float32 multiply-adds (each counts two) held in registers, on `threads`
 * threads together, with the instructions of a kernel table ("avx2"), which this machine must be able to run; 0 for one
 * that it cannot. Takes about 20 ms. */
double limits_multiply_add(const char *kernels, int threads);

/* Bytes per second between memory and `threads` threads together, by reading only and by copying (bytes read plus bytes
 * written). The buffer is larger than the caches where a quarter of the memory allows it. Takes about a second. */
double limits_read(int threads);
double limits_copy(int threads);

#endif
