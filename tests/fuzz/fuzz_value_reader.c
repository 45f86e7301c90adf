/* libFuzzer: any bytes as a tensor, sequence, optional or map (the first byte says which); what is read must survive
 * being written. */
#include "proto/value_reader.h"
#include "proto/value_writer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(memory *memory, const value *from) {
  void *bytes;
  size_t size;
  value again = {0};
  norma_error error;
  if (value_write_memory(memory, from, "v", &bytes, &size, &error) != NORMA_OK) return; /* the budget */
  norma_status status = value_read_memory(memory, bytes, size, from->kind, &again, &error);
  if (status != NORMA_OK && status != NORMA_ERROR_BUDGET) abort();
  value_clear(&again);
  memory_free(memory, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const norma_value_kind kinds[] = {NORMA_VALUE_TENSOR, NORMA_VALUE_SEQUENCE, NORMA_VALUE_OPTIONAL,
                                           NORMA_VALUE_MAP};
  if (size == 0) return 0;
  memory memory;
  norma_error error;
  value read = {0};
  memory_init(&memory, NULL, (size_t)256 << 20);
  if (value_read_memory(&memory, data + 1, size - 1, kinds[data[0] % 4], &read, &error) == NORMA_OK) {
    write_again(&memory, &read);
  }
  value_clear(&read);
  if (atomic_load(&memory.used) != 0) abort();
  return 0;
}
