#include "engine/base/cpu_features.h"

#include <stddef.h>

#define ALWAYS                                                                                                         \
  { 0 }

#if defined(__x86_64__)
#include <cpuid.h>

/* Registers that the operating system saves on a context switch, as XCR0 has them. */
enum saved_registers { SAVED_YMM = 0x06, SAVED_ZMM = 0xe6 };
enum cpuid_word { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

struct feature_place {
  unsigned leaf, subleaf;
  enum cpuid_word word;
  unsigned bit;
  enum saved_registers registers;
};

#define CPUID(leaf, subleaf, word, bit, registers)                                                                     \
  { leaf, subleaf, CPUID_##word, bit, SAVED_##registers }
#define CPU_FEATURES_HERE CPU_FEATURES_X86_64

/* XCR0, 0 where there is none (Intel SDM volume 1, 13.3). */
static unsigned saved_registers(void) {
  unsigned word[4], low, high;
  const unsigned needed = bit_OSXSAVE | bit_AVX;
  if (!__get_cpuid(1, &word[0], &word[1], &word[2], &word[3]) || (word[CPUID_ECX] & needed) != needed) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/* Places of the same leaf stand together, so that each is asked for once. */
static cpu_feature_set ask(const struct feature_place *places, size_t count) {
  const unsigned saved = saved_registers();
  unsigned word[4] = {0}, leaf = 0, subleaf = 0;
  cpu_feature_set found = 0;
  for (size_t i = 0; i < count; i++) {
    const struct feature_place *place = &places[i];
    if (place->leaf && (place->leaf != leaf || place->subleaf != subleaf)) {
      leaf = place->leaf;
      subleaf = place->subleaf;
      if (!__get_cpuid_count(leaf, subleaf, &word[0], &word[1], &word[2], &word[3])) {
        word[0] = word[1] = word[2] = word[3] = 0;
      }
    }
    const bool usable = (saved & place->registers) == (unsigned)place->registers;
    if (!place->leaf || (usable && word[place->word] >> place->bit & 1)) found |= (cpu_feature_set)1 << i;
  }
  return found;
}

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

struct feature_place {
  unsigned long type;
  unsigned bit;
};

#define HWCAP(type, bit)                                                                                               \
  { type, bit }
#define CPU_FEATURES_HERE CPU_FEATURES_AARCH64

static cpu_feature_set ask(const struct feature_place *places, size_t count) {
  cpu_feature_set found = 0;
  for (size_t i = 0; i < count; i++)
    if (!places[i].type || getauxval(places[i].type) >> places[i].bit & 1) found |= (cpu_feature_set)1 << i;
  return found;
}

#else
struct feature_place {
  int unused;
};

#if defined(__wasm__)
#define CPU_FEATURES_HERE CPU_FEATURES_WASM
#else
#define CPU_FEATURES_HERE(X)
#endif

static cpu_feature_set ask(const struct feature_place *places, size_t count) {
  (void)places;
  return ((cpu_feature_set)1 << count) - 1;
}
#endif

cpu_feature_set cpu_features(void) {
#define FEATURE_PLACE(NAME, name, where) where,
#define FEATURE_ID(NAME, name, where)    CPU_##NAME,
  static const struct feature_place places[] = {CPU_FEATURES_HERE(FEATURE_PLACE) ALWAYS};
  static const enum cpu_feature ids[] = {CPU_FEATURES_HERE(FEATURE_ID) CPU_FEATURE_COUNT};
#undef FEATURE_PLACE
#undef FEATURE_ID
  const size_t count = sizeof places / sizeof *places - 1;
  const cpu_feature_set found = ask(places, count);
  cpu_feature_set features = 0;
  for (size_t i = 0; i < count; i++)
    if (found >> i & 1) features |= (cpu_feature_set)1 << ids[i];
  return features;
}

const char *cpu_feature_name(enum cpu_feature feature) {
  switch (feature) {
#define FEATURE_NAME(NAME, name, where)                                                                                \
  case CPU_##NAME:                                                                                                     \
    return name;
    CPU_FEATURES(FEATURE_NAME)
#undef FEATURE_NAME
  default:
    return "unknown";
  }
}
