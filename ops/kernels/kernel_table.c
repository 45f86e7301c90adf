#include "kernel_table.h"

#if defined(__x86_64__)
extern const struct kernel_table kernel_table_sse2;
extern const struct kernel_table kernel_table_avx2;
extern const struct kernel_table kernel_table_avx512;
#elif defined(__aarch64__)
extern const struct kernel_table kernel_table_neon;
#else
#error "Norma has kernels for x86-64 and AArch64"
#endif

const struct kernel_table *kernel_table_get(enum cpu_isa isa) {
  switch (isa) {
#if defined(__x86_64__)
  case CPU_ISA_SSE2:
    return &kernel_table_sse2;
  case CPU_ISA_AVX2:
    return &kernel_table_avx2;
  case CPU_ISA_AVX512:
    return &kernel_table_avx512;
#else
  case CPU_ISA_NEON:
    return &kernel_table_neon;
#endif
  default:
    return NULL;
  }
}

const struct kernel_table *kernel_table_default(void) {
  return kernel_table_get(cpu_isa_choose());
}
