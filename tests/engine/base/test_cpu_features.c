/* Features of the CPU: names, and what one of them says of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/cpu_features.h"

static void names_are_distinct(void **state) {
  (void)state;
  for (int i = 0; i < CPU_FEATURE_COUNT; i++)
    for (int j = 0; j < i; j++)
      assert_string_not_equal(cpu_feature_name((enum cpu_feature)i), cpu_feature_name((enum cpu_feature)j));
  assert_string_equal(cpu_feature_name(CPU_FEATURE_COUNT), "unknown");
}

static void answers_do_not_change(void **state) {
  (void)state;
  assert_true(cpu_features() == cpu_features());
  assert_int_equal(cpu_features() >> CPU_FEATURE_COUNT, 0);
}

/* What is part of an architecture is there, and nothing of another one. */
static void features_are_of_one_architecture(void **state) {
  (void)state;
#define FEATURE_BIT(NAME, name, where) | CPU_FEATURE(NAME)
  const cpu_feature_set sets[] = {0 CPU_FEATURES_X86_64(FEATURE_BIT), 0 CPU_FEATURES_AARCH64(FEATURE_BIT),
                                  0 CPU_FEATURES_WASM(FEATURE_BIT)};
#undef FEATURE_BIT
  const cpu_feature_set found = cpu_features();
  int architectures = 0;
  for (size_t i = 0; i < 3; i++) architectures += (found & sets[i]) != 0;
  assert_int_equal(architectures, 1);
  const cpu_feature_set always = CPU_FEATURE(SSE2) | CPU_FEATURE(NEON) | CPU_FEATURE(SIMD128);
  const cpu_feature_set base = found & always;
  assert_true(base != 0 && (base & (base - 1)) == 0);
}

/* Features that no CPU has without the others, as the manuals of Intel and Arm have it. */
static void features_imply_others(void **state) {
  (void)state;
  static const struct {
    enum cpu_feature feature;
    cpu_feature_set others;
  } implied[] = {
      {CPU_AVX512DQ, CPU_FEATURE(AVX512F)},     {CPU_AVX512BW, CPU_FEATURE(AVX512F)},
      {CPU_AVX512VL, CPU_FEATURE(AVX512F)},     {CPU_AVX512F, CPU_FEATURE(AVX2) | CPU_FEATURE(FMA) | CPU_FEATURE(F16C)},
      {CPU_AVX512_VNNI, CPU_FEATURE(AVX512F)},  {CPU_AVX512_BF16, CPU_FEATURE(AVX512F)},
      {CPU_AVX512_FP16, CPU_FEATURE(AVX512BW)}, {CPU_AVX_VNNI, CPU_FEATURE(AVX2)}};
  const cpu_feature_set found = cpu_features();
  for (size_t i = 0; i < sizeof implied / sizeof *implied; i++)
    if (found >> implied[i].feature & 1 && (implied[i].others & ~found))
      fail_msg("%s without all that belongs to it", cpu_feature_name(implied[i].feature));
}

#if defined(__linux__)
/* Linux reports the same features, under its own names. */
static void linux_agrees(void **state) {
  (void)state;
  static const struct {
    enum cpu_feature feature;
    const char *linux_name;
  } names[] = {{CPU_FMA, "fma"},
               {CPU_F16C, "f16c"},
               {CPU_AVX2, "avx2"},
               {CPU_AVX512F, "avx512f"},
               {CPU_AVX512DQ, "avx512dq"},
               {CPU_AVX512BW, "avx512bw"},
               {CPU_AVX512VL, "avx512vl"},
               {CPU_AVX512_VNNI, "avx512_vnni"},
               {CPU_AVX512_FP16, "avx512_fp16"},
               {CPU_AVX512_BF16, "avx512_bf16"},
               {CPU_AVX_VNNI, "avx_vnni"},
               {CPU_NEON_FP16, "asimdhp"},
               {CPU_NEON_DOTPROD, "asimddp"},
               {CPU_NEON_I8MM, "i8mm"}};
  char line[8192] = "";
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (!file) skip();
  while (fgets(line, sizeof line, file) && strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0) {
  }
  fclose(file);
  /* An emulator shows the CPU of the machine around it. */
  const cpu_feature_set found = cpu_features();
  const bool of_arm = strncmp(line, "Features", 8) == 0, of_intel = strncmp(line, "flags", 5) == 0;
  if (found & CPU_FEATURE(NEON) ? !of_arm : !of_intel) skip();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const bool intel_feature = names[i].feature < CPU_NEON;
    if (intel_feature != of_intel) continue;
    char word[32];
    snprintf(word, sizeof word, " %s", names[i].linux_name);
    const char *at = line;
    bool listed = false;
    while (!listed && (at = strstr(at, word))) {
      at += strlen(word);
      listed = *at == ' ' || *at == '\n';
    }
    if (listed != (found >> names[i].feature & 1))
      fail_msg("%s: Linux says %s", cpu_feature_name(names[i].feature), listed ? "yes" : "no");
  }
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_are_distinct),
    cmocka_unit_test(answers_do_not_change),
    cmocka_unit_test(features_are_of_one_architecture),
    cmocka_unit_test(features_imply_others),
#if defined(__linux__)
    cmocka_unit_test(linux_agrees),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
