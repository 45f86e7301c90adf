#include "tests/fuzz/fuzzing.h"

#include "proto/onnx.pb-c.h"
#include "tests/fuzz/mutator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_SECONDS   0.5
#define MOST_ELEMENTS 20000

static void wrong(const char *what, const norma_error *error) {
  fprintf(stderr, "fuzzing: %s (%s: %s)\n", what, norma_status_text(error->status), error->message);
  abort();
}

uint64_t fuzz_hash(const uint8_t *data, size_t size) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 0x100000001B3u;
  return hash;
}

norma_runtime *fuzz_runtime(int threads, const char *kernels) {
  norma_runtime *runtime;
  norma_error error;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = threads, .max_memory_bytes = FUZZ_MEMORY};
  options.kernels = kernels;
  options.max_nodes = 20000;
  options.max_depth = 16;
  if (norma_runtime_create(&options, &runtime, &error) != NORMA_OK) wrong("no runtime", &error);
  return runtime;
}

void fuzz_end(norma_runtime *runtime) {
  const norma_error none = {.status = NORMA_OK};
  if (norma_runtime_threads(runtime) == 1 && norma_runtime_memory_used(runtime) > 4096) wrong("memory is held", &none);
  norma_runtime_destroy(runtime);
}

void fuzz_check(norma_status status, const norma_error *error) {
  if (status == NORMA_OK) return;
  if (error->status != status) wrong("status and error differ", error);
  if (error->message[0] == '\0') wrong("an error without a message", error);
  if (status == NORMA_ERROR_INTERNAL) wrong("an internal error", error);
}

/* ------------------------------------------------------------------------------------------------------------- runs */

static void fill(norma_tensor *tensor, random_source *random) {
  const int64_t count = norma_tensor_count(tensor);
  const norma_element_class class = norma_element_type_class(tensor->type);
  for (int64_t i = 0; i < count; i++) {
    if (class == NORMA_CLASS_STRING) {
      static const char *const texts[] = {"", "a", "cat dog", "1.5", "-7", "\xC3\xA4", "a,b", "www.x.org"};
      const char *text = texts[random_below(random, sizeof texts / sizeof *texts)];
      ((norma_string *)tensor->data)[i] = (norma_string){text, strlen(text)};
    } else if (class == NORMA_CLASS_COMPLEX) {
      break;
    } else if (class == NORMA_CLASS_FLOAT) {
      const double number =
          random_one_in(random, 16) ? random_hostile_double(random) : (double)random_below(random, 200) / 50 - 2;
      norma_tensor_set_doubles(tensor, i, 1, &number);
    } else {
      int64_t number = random_one_in(random, 16) ? random_hostile_int(random) : (int64_t)random_below(random, 5);
      if (class == NORMA_CLASS_BOOL) number &= 1;
      norma_tensor_set_integers(tensor, i, 1, &number);
    }
  }
}

/* A tensor as the input declares it, with unknown sizes chosen and large ones cut. NULL: the budget. */
static norma_value *make_input(norma_runtime *runtime, const norma_value_info *info, random_source *random) {
  const int rank = info->rank < 0 ? (int)random_below(random, 5) : info->rank;
  int64_t dims[NORMA_MAX_RANK], count = 1;
  for (int i = 0; i < rank; i++) {
    dims[i] = info->rank < 0 || info->dims[i] < 0 ? (int64_t)random_below(random, 5) : info->dims[i];
    if (dims[i] > 0 && count > MOST_ELEMENTS / dims[i]) dims[i] = 1;
    if (dims[i] > 0) count *= dims[i];
  }
  const norma_element_type type = info->type == NORMA_UNDEFINED ? NORMA_FLOAT : info->type;
  size_t bytes;
  norma_tensor tensor;
  norma_value *value = NULL;
  if (norma_tensor_size(type, rank, dims, &bytes) != NORMA_OK) return NULL;
  void *data = calloc(1, bytes + 1);
  if (data && norma_tensor_init(&tensor, type, rank, dims, data) == NORMA_OK) {
    fill(&tensor, random);
    norma_value_create_tensor(runtime, &tensor, &value, NULL);
  }
  free(data);
  return value;
}

norma_status fuzz_run(norma_session *session, const norma_model *model, norma_runtime *runtime, uint64_t seed,
                      norma_error *error) {
  const size_t count = norma_model_input_count(model);
  norma_value **inputs = calloc(count + 1, sizeof *inputs);
  random_source random = {seed};
  norma_error refused;
  norma_run_options options = {.struct_size = sizeof options, .timeout = RUN_SECONDS};
  for (size_t i = 0; inputs && i < count; i++) {
    norma_value_info info;
    if (norma_model_input(model, i, &info) != NORMA_OK || info.kind != NORMA_VALUE_TENSOR) continue;
    inputs[i] = make_input(runtime, &info, &random);
    if (inputs[i]) fuzz_check(norma_session_set_input_value(session, info.name, inputs[i], &refused), &refused);
  }
  const norma_status status = norma_session_run_with(session, &options, error);
  norma_session_clear_inputs(session);
  for (size_t i = 0; inputs && i < count; i++) norma_value_destroy(inputs[i]);
  free(inputs);
  return status;
}

void fuzz_load_and_run(const uint8_t *data, size_t size) {
  const uint64_t seed = fuzz_hash(data, size);
  norma_runtime *runtime = fuzz_runtime(1, NULL);
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_error error;
  options.optimization = seed % 3 == 0 ? NORMA_OPTIMIZE_NONE : NORMA_OPTIMIZE_FULL;
  norma_status status = norma_model_load_memory(data, size, &options, &model, &error);
  fuzz_check(status, &error);
  if (status == NORMA_OK) {
    status = norma_session_create(model, NULL, &session, &error);
    fuzz_check(status, &error);
  }
  for (uint64_t i = 0; status == NORMA_OK && i < 2; i++) {
    fuzz_check(fuzz_run(session, model, runtime, seed + i, &error), &error);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  fuzz_end(runtime);
}

/* --------------------------------------------------------------------------------------------------------- mutation */

size_t fuzz_mutate_model(uint8_t *data, size_t size, size_t room, unsigned seed) {
  random_source random = {seed};
  message_bytes files[1] = {{NULL, 0}};
  size_t mutant_size;
  if (random_one_in(&random, 5)) return LLVMFuzzerMutate(data, size, room);
  unsigned char *mutant = mutate_model(&onnx__model_proto__descriptor, data, size, files, 1, &random, &mutant_size);
  if (!mutant || mutant_size > room) {
    free(mutant);
    return LLVMFuzzerMutate(data, size, room);
  }
  memcpy(data, mutant, mutant_size);
  free(mutant);
  return mutant_size;
}
