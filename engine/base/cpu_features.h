/* What the CPU offers and the operating system saves, feature by feature: kernel tables and overrides say which of them
 * they need. Asking costs microseconds (CPUID traps under hypervisors); ask once and keep the answer. Thread-safe. */
#ifndef ENGINE_BASE_CPU_FEATURES_H
#define ENGINE_BASE_CPU_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

/* X(enum name, name, where it is reported): the features of each architecture. On x86-64 the bit of a CPUID leaf and
 * the registers whose state must be saved; on AArch64 the bit of AT_HWCAP or AT_HWCAP2 (Linux, asm/hwcap.h). ALWAYS:
 * part of the architecture as it is compiled for. */
#define CPU_FEATURES_X86_64(X)                                                                                         \
  X(SSE2, "sse2", ALWAYS)                                                                                              \
  X(FMA, "fma", CPUID(1, 0, ECX, 12, YMM))                                                                             \
  X(F16C, "f16c", CPUID(1, 0, ECX, 29, YMM))                                                                           \
  X(AVX2, "avx2", CPUID(7, 0, EBX, 5, YMM))                                                                            \
  X(AVX512F, "avx512f", CPUID(7, 0, EBX, 16, ZMM))                                                                     \
  X(AVX512DQ, "avx512dq", CPUID(7, 0, EBX, 17, ZMM))                                                                   \
  X(AVX512BW, "avx512bw", CPUID(7, 0, EBX, 30, ZMM))                                                                   \
  X(AVX512VL, "avx512vl", CPUID(7, 0, EBX, 31, ZMM))                                                                   \
  X(AVX512_VNNI, "avx512_vnni", CPUID(7, 0, ECX, 11, ZMM))                                                             \
  X(AVX512_FP16, "avx512_fp16", CPUID(7, 0, EDX, 23, ZMM))                                                             \
  X(AVX_VNNI, "avx_vnni", CPUID(7, 1, EAX, 4, YMM))                                                                    \
  X(AVX512_BF16, "avx512_bf16", CPUID(7, 1, EAX, 5, ZMM))
#define CPU_FEATURES_AARCH64(X)                                                                                        \
  X(NEON, "neon", ALWAYS)                                                                                              \
  X(NEON_FP16, "neon_fp16", HWCAP(16, 10)) /* half-precision arithmetic */                                             \
  X(NEON_DOTPROD, "neon_dotprod", HWCAP(16, 20))                                                                       \
  X(NEON_I8MM, "neon_i8mm", HWCAP(26, 13))                 /* matrix products of 8-bit integers */
#define CPU_FEATURES_WASM(X) X(SIMD128, "simd128", ALWAYS) /* an engine without it refuses the whole module */

#define CPU_FEATURES(X) CPU_FEATURES_X86_64(X) CPU_FEATURES_AARCH64(X) CPU_FEATURES_WASM(X)

enum cpu_feature {
#define CPU_FEATURE_ENUM(NAME, name, where) CPU_##NAME,
  CPU_FEATURES(CPU_FEATURE_ENUM)
#undef CPU_FEATURE_ENUM
      CPU_FEATURE_COUNT
};

/* A set of features: bit f is feature f. */
typedef uint64_t cpu_feature_set;
#define CPU_FEATURE(NAME) ((cpu_feature_set)1 << CPU_##NAME)

/* The features that code may use on this machine. */
cpu_feature_set cpu_features(void);

/* "avx2" and so on; a string literal. */
const char *cpu_feature_name(enum cpu_feature feature);

#endif
