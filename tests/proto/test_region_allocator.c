/* Messages of protobuf-c in a region. */
#include "proto/region_allocator.h"

#include "tests/support/failing_allocations.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const unsigned char bytes[] = {0x0A, 1, 'k', 0x12, 2, 'v', 'w'}; /* a key and a value */

static norma_status unpack_in(void *context, const norma_allocator *allocator, norma_error *error) {
  memory memory;
  region region;
  norma_status status = NORMA_OK;
  (void)context;
  memory_init(&memory, allocator, 0);
  region_init(&region, &memory);
  ProtobufCAllocator in_region = region_allocator(&region);
  Onnx__StringStringEntryProto *entry = onnx__string_string_entry_proto__unpack(&in_region, sizeof bytes, bytes);
  if (entry) {
    assert_string_equal(entry->key, "k");
    assert_string_equal(entry->value, "vw");
    onnx__string_string_entry_proto__free_unpacked(entry, &in_region); /* does nothing: the region frees it */
    assert_string_equal(entry->value, "vw");
  } else {
    status = region_error(&region, error); /* knows why there was no memory */
  }
  region_free(&region);
  assert_int_equal(atomic_load(&memory.used), 0);
  return status;
}

static void messages_live_in_the_region(void **state) {
  norma_error error;
  const norma_allocator usual = {0};
  (void)state;
  assert_int_equal(unpack_in(NULL, &usual, &error), NORMA_OK);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  assert_int_equal(fail_each_allocation(unpack_in, NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_live_in_the_region),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
