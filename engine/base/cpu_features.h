/* Which of the instruction sets that Norma has kernels for can run here: what the CPU offers and the operating system
 * saves. Asking costs microseconds (CPUID traps under hypervisors); ask once and keep the answer. Thread-safe. */
#ifndef ENGINE_BASE_CPU_FEATURES_H
#define ENGINE_BASE_CPU_FEATURES_H

#include <stdbool.h>

/* X(enum name, name): within an architecture in rising order of preference. */
#define CPU_ISAS(X)                                                                                                    \
  X(SSE2, "sse2")                                                                                                      \
  X(AVX2, "avx2")     /* with FMA and F16C */                                                                          \
  X(AVX512, "avx512") /* F, BW, DQ, VL, and all of avx2 */                                                             \
  X(NEON, "neon")

enum cpu_isa {
#define CPU_ISA_ENUM(NAME, name) CPU_ISA_##NAME,
  CPU_ISAS(CPU_ISA_ENUM)
#undef CPU_ISA_ENUM
      CPU_ISA_COUNT
};

/* True if this machine can run code compiled for `isa`. */
bool cpu_isa_supported(enum cpu_isa isa);

/* The best that this machine can run. */
enum cpu_isa cpu_isa_best(void);

/* cpu_isa_best(), unless the environment variable NORMA_KERNELS names another that can run here. A name that is unknown
 * or cannot run here is ignored. */
enum cpu_isa cpu_isa_choose(void);

/* "sse2" and so on; a string literal. */
const char *cpu_isa_name(enum cpu_isa isa);

/* The isa of that name into *isa; false, and *isa untouched, if there is none. */
bool cpu_isa_parse(const char *name, enum cpu_isa *isa);

#endif
