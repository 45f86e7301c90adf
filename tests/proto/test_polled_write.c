/* Bytes are passed on whole and in order, in pieces, until there is a reason to stop or the writer fails. */
#include "proto/polled_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct taken {
  char *bytes;
  size_t size, largest, most; /* fails beyond `most` */
} taken;

static bool take(void *context, const void *bytes, size_t count) {
  taken *taken = context;
  if (taken->size + count > taken->most) return false;
  memcpy(taken->bytes + taken->size, bytes, count);
  taken->size += count;
  if (count > taken->largest) taken->largest = count;
  return true;
}

static bool answer(void *context) {
  int *left = context;
  return (*left)-- == 0;
}

#define SIZE (((size_t)3 << 20) + 5)

static void all_or_up_to_a_reason(void **state) {
  (void)state;
  char *bytes = malloc(SIZE);
  taken taken = {.bytes = malloc(SIZE), .most = SIZE};
  assert_true(bytes && taken.bytes);
  for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)(i * 7 + (i >> 13));
  polled_write polled = {.write = take, .context = &taken};
  assert_true(polled_write_bytes(&polled, bytes, SIZE));
  assert_int_equal(taken.size, SIZE);
  assert_memory_equal(taken.bytes, bytes, SIZE);
  assert_true(taken.largest <= (size_t)1 << 20);
  assert_true(polled_write_bytes(&polled, NULL, 0));

  int left = 2;
  interruption interruption = {.work = "saving", .is_cancelled = answer, .context = &left};
  polled.interruption = &interruption;
  taken.size = 0;
  assert_false(polled_write_bytes(&polled, bytes, SIZE));
  assert_int_equal(taken.size, (size_t)2 << 20);
  assert_int_equal(interruption_reason(&interruption), NORMA_ERROR_CANCELLED);

  polled.interruption = NULL;
  taken.size = 0;
  taken.most = 10;
  assert_false(polled_write_bytes(&polled, bytes, SIZE));
  free(bytes);
  free(taken.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_or_up_to_a_reason)};
  return cmocka_run_group_tests_name("polled writing", tests, NULL, NULL);
}
