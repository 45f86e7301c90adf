/* Runs models of the ONNX backend layout and compares what comes out: vectors FOLDER..., with FOLDER/model.onnx and
 * FOLDER/test_data_set_N/{input,output}_I.pb. One C file beside norma.c; it says `N passed, N failed`, and exits with 1
 * if a test failed or there was none. A model that is refused is a failure, with the library's sentence. */
#include "norma.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 }; /* inputs or outputs of a model */

typedef struct vectors_run {
  norma_runtime *runtime;
  norma_session *session;
  norma_value *inputs[MOST];
  norma_error error;
} vectors_run;

/* A tensor from DIR/KIND_I.pb; NULL: there is no such file, or it holds something else. */
static norma_value *read_tensor(vectors_run *run, const char *folder, const char *kind, size_t index) {
  char path[512];
  norma_value *value = NULL;
  snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, kind, index);
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  void *bytes = size > 0 ? malloc((size_t)size) : NULL;
  if (bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size)
    norma_value_read(run->runtime, bytes, (size_t)size, NORMA_VALUE_TENSOR, &value, &run->error);
  free(bytes);
  fclose(file);
  return value;
}

/* |a - b| <= 1e-7 + 1e-3 |b|, as ONNX's own runner compares; NaN equals NaN, infinity itself. */
static bool tensors_agree(const norma_tensor *actual, const norma_tensor *expected) {
  if (!actual || actual->type != expected->type || actual->rank != expected->rank) return false;
  if (memcmp(actual->dims, expected->dims, (size_t)expected->rank * sizeof *expected->dims) != 0) return false;
  for (int64_t i = 0; i < norma_tensor_count(expected); i++) {
    double a, b;
    if (norma_tensor_get_doubles(actual, i, 1, &a) != NORMA_OK) return false;
    if (norma_tensor_get_doubles(expected, i, 1, &b) != NORMA_OK) return false;
    if (a == b || (isnan(a) && isnan(b))) continue;
    if (!(fabs(a - b) <= 1e-7 + 1e-3 * fabs(b))) return false;
  }
  return true;
}

static bool set_inputs(vectors_run *run, const norma_model *model, const char *folder) {
  for (size_t i = 0; i < norma_model_input_count(model) && i < MOST; i++) {
    norma_value_info info;
    if (norma_model_input(model, i, &info) != NORMA_OK) return false;
    run->inputs[i] = read_tensor(run, folder, "input", i);
    if (!run->inputs[i]) break;
    if (norma_session_set_input(run->session, info.name, norma_value_tensor(run->inputs[i]), &run->error) != NORMA_OK)
      return false;
  }
  return true;
}

static bool run_data_set(vectors_run *run, const norma_model *model, const char *folder) {
  bool good = set_inputs(run, model, folder) && norma_session_run(run->session, &run->error) == NORMA_OK;
  for (size_t i = 0; good && i < norma_model_output_count(model); i++) {
    norma_value *expected = read_tensor(run, folder, "output", i);
    good = expected &&
           tensors_agree(norma_value_tensor(norma_session_output(run->session, i)), norma_value_tensor(expected));
    if (!good) snprintf(run->error.message, sizeof run->error.message, "output %zu is another", i);
    norma_value_destroy(expected);
  }
  norma_session_clear_inputs(run->session);
  for (size_t i = 0; i < MOST; i++) {
    norma_value_destroy(run->inputs[i]);
    run->inputs[i] = NULL;
  }
  return good;
}

static bool run_folder(const char *folder) {
  char path[512];
  norma_model *model = NULL;
  vectors_run run = {0};
  int sets = 0;
  bool good = norma_runtime_create(NULL, &run.runtime, &run.error) == NORMA_OK;
  const norma_load_options options = {.struct_size = sizeof options, .runtime = run.runtime};
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  good = good && norma_model_load(path, &options, &model, &run.error) == NORMA_OK &&
         norma_session_create(model, NULL, &run.session, &run.error) == NORMA_OK;
  for (; good; sets++) {
    snprintf(path, sizeof path, "%s/test_data_set_%d", folder, sets);
    char first[560];
    snprintf(first, sizeof first, "%s/output_0.pb", path);
    FILE *file = fopen(first, "rb");
    if (!file) break;
    fclose(file);
    good = run_data_set(&run, model, path);
  }
  if (good && sets == 0) snprintf(run.error.message, sizeof run.error.message, "no test_data_set_0");
  good = good && sets > 0;
  if (!good) printf("FAILED %s: %s\n", folder, run.error.message);
  norma_session_destroy(run.session);
  norma_model_destroy(model);
  norma_runtime_destroy(run.runtime);
  return good;
}

int main(int argc, char **argv) {
  int passed = 0;
  for (int i = 1; i < argc; i++) passed += run_folder(argv[i]);
  printf("%d passed, %d failed\n", passed, argc - 1 - passed);
  return passed == argc - 1 && passed > 0 ? 0 : 1;
}
