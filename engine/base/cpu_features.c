#include "engine/base/cpu_features.h"

#include <stdlib.h>
#include <string.h>

const char *cpu_isa_name(enum cpu_isa isa) {
  switch (isa) {
#define CPU_ISA_NAME(NAME, name)                                                                                       \
  case CPU_ISA_##NAME:                                                                                                 \
    return name;
    CPU_ISAS(CPU_ISA_NAME)
#undef CPU_ISA_NAME
  default:
    return "unknown";
  }
}

bool cpu_isa_parse(const char *name, enum cpu_isa *isa) {
  for (int i = 0; i < CPU_ISA_COUNT; i++) {
    if (strcmp(name, cpu_isa_name((enum cpu_isa)i)) == 0) {
      *isa = (enum cpu_isa)i;
      return true;
    }
  }
  return false;
}

#if defined(__x86_64__)
#include <cpuid.h>

/* The register state that the operating system saves on a context switch (Intel SDM volume 1, 13.3). Only callable
 * where CPUID reports OSXSAVE. */
static unsigned long long saved_state(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (unsigned long long)high << 32 | low;
}

bool cpu_isa_supported(enum cpu_isa isa) {
  const unsigned long long ymm_state = 0x06, zmm_state = 0xe6;
  unsigned eax, ebx, ecx, edx;

  if (isa == CPU_ISA_SSE2) return true; /* part of x86-64 */
  if (isa != CPU_ISA_AVX2 && isa != CPU_ISA_AVX512) return false;

  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return false;
  const unsigned leaf1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if ((ecx & leaf1) != leaf1) return false;
  const unsigned long long state = saved_state();

  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  if (!(ebx & bit_AVX2) || (state & ymm_state) != ymm_state) return false;
  if (isa == CPU_ISA_AVX2) return true;
  const unsigned leaf7 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  return (ebx & leaf7) == leaf7 && (state & zmm_state) == zmm_state;
}
#else
bool cpu_isa_supported(enum cpu_isa isa) {
  return isa == CPU_ISA_NEON; /* part of AArch64 */
}
#endif

enum cpu_isa cpu_isa_best(void) {
#if defined(__x86_64__)
  if (cpu_isa_supported(CPU_ISA_AVX512)) return CPU_ISA_AVX512;
  if (cpu_isa_supported(CPU_ISA_AVX2)) return CPU_ISA_AVX2;
  return CPU_ISA_SSE2;
#else
  return CPU_ISA_NEON;
#endif
}

enum cpu_isa cpu_isa_choose(void) {
  const char *wanted = getenv("NORMA_KERNELS");
  enum cpu_isa isa;
  if (wanted && cpu_isa_parse(wanted, &isa) && cpu_isa_supported(isa)) return isa;
  return cpu_isa_best();
}
