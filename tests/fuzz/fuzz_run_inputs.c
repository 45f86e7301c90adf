/* libFuzzer: any inputs of good models. The bytes are a model and its inputs, each behind its length of 4 bytes, as
 * corpus.sh writes them; only the inputs are mutated. */
#include "proto/onnx.pb-c.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/mutator.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = 17 };

typedef struct part {
  const uint8_t *data;
  size_t size;
} part;

/* How many parts there are; 0 where the bytes are no such list. */
static size_t split(const uint8_t *data, size_t size, part *parts) {
  size_t count = 0;
  while (size >= 4 && count < MOST_PARTS) {
    uint32_t length;
    memcpy(&length, data, 4);
    if (length > size - 4) return 0;
    parts[count++] = (part){data + 4, length};
    data += 4 + length;
    size -= 4 + length;
  }
  return count;
}

static void run(norma_runtime *runtime, const part *parts, size_t count, norma_optimization level) {
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .optimization = level};
  norma_run_options run_options = {.struct_size = sizeof run_options, .timeout = 0.5};
  norma_value *inputs[MOST_PARTS] = {NULL};
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_error error;
  norma_status status = norma_model_load_memory(parts[0].data, parts[0].size, &options, &model, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  fuzz_check(status, &error);
  for (size_t i = 0; status == NORMA_OK && i + 1 < count && i < norma_model_input_count(model); i++) {
    norma_value_info info;
    if (norma_model_input(model, i, &info) != NORMA_OK) continue;
    norma_status read = norma_value_read(runtime, parts[i + 1].data, parts[i + 1].size, info.kind, &inputs[i], &error);
    fuzz_check(read, &error);
    if (read == NORMA_OK) fuzz_check(norma_session_set_input_value(session, info.name, inputs[i], &error), &error);
  }
  if (status == NORMA_OK) fuzz_check(norma_session_run_with(session, &run_options, &error), &error);
  norma_session_destroy(session);
  for (size_t i = 0; i < MOST_PARTS; i++) norma_value_destroy(inputs[i]);
  norma_model_destroy(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  part parts[MOST_PARTS];
  const size_t count = split(data, size, parts);
  if (count == 0) return 0;
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  run(runtime, parts, count, fuzz_hash(data, size) % 3 ? NORMA_OPTIMIZE_FULL : NORMA_OPTIMIZE_NONE);
  fuzz_end(runtime);
  return 0;
}

/* Puts `mutant` in place of a part. The new size; 0 where there is no room. */
static size_t replace(uint8_t *data, size_t size, size_t room, const part *old, const uint8_t *mutant,
                      uint32_t mutant_size) {
  const size_t begin = (size_t)(old->data - data), behind = size - begin - old->size;
  if (size - old->size + mutant_size > room) return 0;
  memmove(data + begin + mutant_size, data + begin + old->size, behind);
  memcpy(data + begin, mutant, mutant_size);
  memcpy(data + begin - 4, &mutant_size, 4);
  return size - old->size + mutant_size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  part parts[MOST_PARTS];
  random_source random = {seed};
  size_t mutant_size;
  const size_t count = split(data, size, parts);
  if (count < 2) return LLVMFuzzerMutate(data, size, room);
  const part *chosen = &parts[1 + random_below(&random, count - 1)];
  unsigned char *mutant = NULL;
  if (!random_one_in(&random, 4)) {
    mutant = mutate_message(&onnx__tensor_proto__descriptor, chosen->data, chosen->size, &random, &mutant_size);
  }
  if (!mutant) {
    const size_t space = chosen->size + 64;
    mutant = malloc(space);
    if (!mutant) return size;
    memcpy(mutant, chosen->data, chosen->size);
    mutant_size = LLVMFuzzerMutate(mutant, chosen->size, space);
  }
  const size_t made = replace(data, size, room, chosen, mutant, (uint32_t)mutant_size);
  free(mutant);
  return made ? made : size;
}
