/*
 * check_promises [--batches] FOLDER...: the bitwise promise, on models in the layout of ONNX's backend tests.
 *
 * For every kernel table that runs here and every level, each model must give the same bits
 *   - run after run, with 1, 2, 3 and 7 threads, and with a caller's parallel-for of 3 and 7 workers;
 *   - for a sample alone and inside a batch of 2 and of 5.
 * A sample is test_data_set_0's input, or random; others are made of it. A model whose batch is fixed is read again
 * with another one: dimension 0 of its inputs, and of the targets of its Reshapes, is edited. What cannot be batched
 * that way is named and counted as skipped; with --batches it has failed.
 *
 * Ends with the line "N passed, N failed, N skipped".
 */
#include "ops/kernels/kernel_table.h"
#include "engine/graph/model.h"
#include "engine/load/load.h"
#include "engine/base/status.h"
#include "tools/inputs.h"
#include "tools/formats/tensor_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SAMPLES = 5, MOST_INPUTS = 64, MOST_OUTPUTS = 64, ANY_BATCH = -1 };

typedef struct configuration {
  const char *table;
  norma_optimization level;
  bool exact;
  int threads;
  bool callers_loop;
} configuration;

typedef struct outputs {
  size_t count;
  value values[MOST_OUTPUTS];
} outputs;

typedef struct check {
  const char *folder;
  char path[4096];
  memory account;
  norma_runtime *runtime; /* of samples that are read or made up */
  size_t input_count;
  char names[MOST_INPUTS][256];
  value samples[SAMPLES][MOST_INPUTS];           /* owned */
  bool batched[MOST_INPUTS], fixed[MOST_INPUTS]; /* dimension 0 is the batch; the model fixes it */
  outputs expected[SAMPLES];
  char failure[2048], unbatched[1024]; /* why; "": not */
} check;

static bool fail(check *check, const configuration *with, const char *what, const char *why) {
  snprintf(check->failure, sizeof check->failure, "%s, level %d%s, %d threads%s, %s: %s", with->table,
           (int)with->level - NORMA_OPTIMIZE_NONE, with->exact ? " exact" : "", with->threads,
           with->callers_loop ? " of the caller" : "", what, why);
  return false;
}

/* ---------------------------------------------------------------------------------------------------------- editing */

typedef struct batch_edit {
  const check *check;
  int64_t batch; /* ANY_BATCH: unknown */
  bool impossible;
} batch_edit;

static bool is_runtime_input(const graph_value *value) {
  return value->is_input && !value->has_initializer;
}

static norma_status edit_inputs(batch_edit *edit, norma_model *model, norma_error *error) {
  graph *graph = model->graph;
  for (int i = 0; i < graph->value_count; i++) {
    graph_value *value = graph->values[i];
    shape *shape = &value->info.shape;
    if (value->constant) continue;
    if (!is_runtime_input(value)) {
      if (!value->has_initializer) *shape = shape_unknown();
      continue;
    }
    for (size_t k = 0; k < edit->check->input_count; k++) {
      if (!edit->check->batched[k] || strcmp(edit->check->names[k], value->name) != 0) continue;
      if (shape->rank < 1) continue;
      shape->dims[0] = edit->batch;
    }
  }
  (void)error;
  return NORMA_OK;
}

static const norma_tensor *tensor_of(const graph_value *read) {
  if (!read) return NULL;
  if (read->constant) return norma_value_tensor(read->constant);
  if (!read->producer || strcmp(read->producer->op_type, "Constant") != 0) return NULL;
  const value *contents = attribute_tensor(read->producer, "value");
  return contents ? norma_value_tensor(contents) : NULL;
}

/* A target that begins with a literal 1 copies dimension 0 of the input instead. */
static norma_status edit_target(norma_model *model, node *node, norma_error *error) {
  const norma_tensor *target = node->input_count > 1 ? tensor_of(node->inputs[1]) : NULL;
  if (!target || target->type != NORMA_INT64 || target->rank != 1 || target->dims[0] < 2) return NORMA_OK;
  if (((const int64_t *)target->data)[0] != 1 || tensor_of(node->inputs[0])) return NORMA_OK;
  shape shape = shape_of_tensor(target);
  value edited;
  TRY(value_allocate_tensor(model->memory, &edited, NORMA_INT64, &shape, error));
  memcpy(edited.tensor.data, target->data, target->size_bytes);
  ((int64_t *)edited.tensor.data)[0] = 0;
  graph_value *constant = graph_add_constant(node->graph, "target", &edited);
  if (!constant) return error_set(error, NORMA_ERROR_OUT_OF_MEMORY, "out of memory");
  node_set_input(node, 1, constant);
  return NORMA_OK;
}

static norma_status edit_batch(void *context, norma_model *model, norma_error *error) {
  TRY(edit_inputs(context, model, error));
  for (node *node = model->graph->first; node; node = node->next) {
    if (strcmp(node->op_type, "Reshape") == 0) TRY(edit_target(model, node, error));
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- running */

/* Backwards, with all worker numbers: order must not matter. */
static void callers_loop(void *context, size_t count, norma_parallel_body body, void *argument) {
  int threads = *(int *)context;
  while (count-- > 0) body(argument, count, (int)(count % (size_t)threads));
}

typedef struct engine {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  int threads;
} engine;

static void engine_close(engine *engine) {
  norma_session_destroy(engine->session);
  norma_model_destroy(engine->model);
  norma_runtime_destroy(engine->runtime);
  *engine = (struct engine){NULL, NULL, NULL, 0};
}

/* `edit` NULL: the model as it is. */
static norma_status engine_open(engine *engine, const char *path, const configuration *with, batch_edit *edit,
                                norma_error *error) {
  norma_runtime_options runtime = {.struct_size = sizeof runtime, .threads = with->threads, .kernels = with->table};
  engine->threads = with->threads;
  if (with->callers_loop) runtime.parallel = callers_loop, runtime.parallel_context = &engine->threads;
  TRY(norma_runtime_create(&runtime, &engine->runtime, error));
  norma_load_options load = {.struct_size = sizeof load, .runtime = engine->runtime};
  load.optimization = with->level;
  load.exact = with->exact;
  norma_status status = edit ? model_load_edited(path, &load, edit_batch, edit, &engine->model, error)
                             : norma_model_load(path, &load, &engine->model, error);
  TRY(status);
  return norma_session_create(engine->model, NULL, &engine->session, error);
}

static norma_status engine_run(engine *engine, const check *check, const value *inputs, norma_error *error) {
  for (size_t i = 0; i < check->input_count; i++) {
    if (inputs[i].kind == NORMA_VALUE_NONE) continue;
    TRY(norma_session_set_input_value(engine->session, check->names[i], &inputs[i], error));
  }
  return norma_session_run(engine->session, error);
}

/* -------------------------------------------------------------------------------------------------------- comparing */

static bool same_bytes(const norma_tensor *a, const norma_tensor *b, int64_t first, int64_t count) {
  size_t bytes = a->size_bytes;
  if (a->type == NORMA_STRING) {
    const norma_string *x = a->data, *y = (const norma_string *)b->data + first;
    for (int64_t i = 0; i < count; i++) {
      if (x[i].size != y[i].size || (x[i].size && memcmp(x[i].data, y[i].data, x[i].size) != 0)) return false;
    }
    return true;
  }
  return bytes == 0 || memcmp(a->data, (const char *)b->data + (size_t)first / (size_t)count * bytes, bytes) == 0;
}

static bool same_value(const value *a, const value *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == NORMA_VALUE_NONE) return true;
  if (a->kind == NORMA_VALUE_TENSOR) {
    shape left = shape_of_tensor(&a->tensor), right = shape_of_tensor(&b->tensor);
    return a->tensor.type == b->tensor.type && shape_equal(&left, &right) &&
           same_bytes(&a->tensor, &b->tensor, 0, norma_tensor_count(&a->tensor));
  }
  if (a->list->count != b->list->count) return false;
  for (int64_t i = 0; i < a->list->count; i++) {
    if (!same_value(&a->list->items[i], &b->list->items[i])) return false;
  }
  return true;
}

static bool check_same(check *check, engine *engine, const configuration *with, const outputs *expected,
                       const char *what) {
  for (size_t i = 0; i < expected->count; i++) {
    if (same_value(&expected->values[i], norma_session_output(engine->session, i))) continue;
    return fail(check, with, what, "other bits than on 1 thread");
  }
  return true;
}

/* Whether each output holds `batch` times what it holds for one sample. */
static bool outputs_grow(check *check, engine *engine, int64_t batch) {
  for (size_t i = 0; i < check->expected[0].count; i++) {
    const norma_tensor *one = norma_value_tensor(&check->expected[0].values[i]);
    const norma_tensor *all = norma_value_tensor(norma_session_output(engine->session, i));
    if (one && all && one->rank > 0 && all->rank == one->rank && all->dims[0] == batch * one->dims[0] &&
        norma_tensor_count(all) == batch * norma_tensor_count(one)) {
      continue;
    }
    snprintf(check->unbatched, sizeof check->unbatched, "output %zu does not grow with the batch", i);
    return false;
  }
  return true;
}

/* The largest difference over the largest magnitude between a sample's output and its part of a batch's; 0 for types
 * that are no float. */
static double part_error(const norma_tensor *one, const norma_tensor *all, int64_t sample) {
  double error = 0, largest = 0;
  int64_t count = norma_tensor_count(one);
  if (!(TYPES_FLOAT & TYPE_BIT(one->type))) return 0;
  for (int64_t i = 0; i < count; i++) {
    double from = element_get_double(one->type, one->data, i);
    double to = element_get_double(all->type, all->data, sample * count + i);
    if (isnan(from) && isnan(to)) continue;
    if (fabs(from) > largest) largest = fabs(from);
    if (!(fabs(from - to) <= error)) error = fabs(from - to);
  }
  return largest > 0 ? error / largest : error;
}

/* ---------------------------------------------------------------------------------------------------------- batches */

/* Samples 0 .. batch - 1 behind each other; inputs that have no batch as they are. */
static norma_status join_samples(check *check, int64_t batch, value *joined, norma_error *error) {
  for (size_t i = 0; i < check->input_count; i++) {
    const norma_tensor *one = norma_value_tensor(&check->samples[0][i]);
    if (!check->batched[i]) {
      value_share(&joined[i], &check->samples[0][i]);
      continue;
    }
    shape shape = shape_of_tensor(one);
    shape.dims[0] *= batch;
    TRY(value_allocate_tensor(&check->account, &joined[i], one->type, &shape, error));
    for (int64_t k = 0; k < batch; k++) {
      const norma_tensor *sample = norma_value_tensor(&check->samples[k][i]);
      memcpy((char *)joined[i].tensor.data + (size_t)k * one->size_bytes, sample->data, one->size_bytes);
    }
  }
  return NORMA_OK;
}

typedef struct search {
  const engine *engine; /* that ran the batch */
  int64_t sample, batch;
  char found[300];
} search;

/* The first value, in the order of computation, that is another one in the batch. */
static void find_difference(void *context, const char *name, const norma_value *contents) {
  search *search = context;
  const norma_tensor *one = norma_value_tensor(contents);
  const norma_tensor *all = norma_value_tensor(norma_session_value(search->engine->session, name));
  if (search->found[0] || !one || !all || one->type == NORMA_STRING) return;
  int64_t count = norma_tensor_count(one);
  if (count == 0 || norma_tensor_count(all) != search->batch * count) return;
  if (same_bytes(one, all, search->sample * count, count)) return;
  snprintf(search->found, sizeof search->found, "; the first value that differs is %s", name);
}

static norma_status join_samples(check *check, int64_t batch, value *joined, norma_error *error);

/* Runs both again, with all values kept, and adds to the failure where it begins. */
static void explain_difference(check *check, const configuration *with, int64_t sample, int64_t batch) {
  engine one = {NULL, NULL, NULL, 0}, all = {NULL, NULL, NULL, 0};
  batch_edit edit = {check, batch, false};
  search search = {.engine = &all, .sample = sample, .batch = batch};
  value joined[MOST_INPUTS] = {{.kind = NORMA_VALUE_NONE}};
  norma_error error;
  if (engine_open(&one, check->path, with, NULL, &error) == NORMA_OK &&
      engine_open(&all, check->path, with, &edit, &error) == NORMA_OK &&
      join_samples(check, batch, joined, &error) == NORMA_OK &&
      norma_session_watch(one.session, "*", &error) == NORMA_OK &&
      norma_session_watch(all.session, "*", &error) == NORMA_OK &&
      engine_run(&one, check, check->samples[sample], &error) == NORMA_OK &&
      engine_run(&all, check, joined, &error) == NORMA_OK) {
    norma_session_visit_values(one.session, find_difference, &search);
  }
  size_t used = strlen(check->failure);
  snprintf(check->failure + used, sizeof check->failure - used, "%s", search.found);
  engine_close(&one);
  engine_close(&all);
  for (size_t i = 0; i < check->input_count; i++) value_clear(&joined[i]);
}

static bool check_parts(check *check, engine *engine, const configuration *with, int64_t batch) {
  char what[64];
  for (int64_t k = 0; k < batch; k++) {
    for (size_t i = 0; i < check->expected[k].count; i++) {
      const norma_tensor *one = norma_value_tensor(&check->expected[k].values[i]);
      const norma_tensor *all = norma_value_tensor(norma_session_output(engine->session, i));
      int64_t count = norma_tensor_count(one);
      if (count == 0 || same_bytes(one, all, k * count, count)) continue;
      snprintf(what, sizeof what, "sample %d of a batch of %d, output %zu", (int)k, (int)batch, i);
      char why[96];
      snprintf(why, sizeof why, "other bits than alone; error %.3g of the largest magnitude", part_error(one, all, k));
      fail(check, with, what, why);
      explain_difference(check, with, k, batch);
      return false;
    }
  }
  return true;
}

static bool run_batch(check *check, engine *engine, const configuration *with, int64_t batch) {
  value joined[MOST_INPUTS] = {{.kind = NORMA_VALUE_NONE}};
  norma_error error;
  bool good =
      join_samples(check, batch, joined, &error) == NORMA_OK && engine_run(engine, check, joined, &error) == NORMA_OK;
  if (!good) {
    fail(check, with, "a batch", error.message);
  } else {
    good = check_parts(check, engine, with, batch);
  }
  norma_session_clear_inputs(engine->session);
  for (size_t i = 0; i < check->input_count; i++) value_clear(&joined[i]);
  return good;
}

/* A model that leaves its batch open is not given a fixed one: what is known of shapes decides what is fused. */
static bool has_fixed_batch(const check *check) {
  for (size_t i = 0; i < check->input_count; i++) {
    if (check->batched[i] && !check->fixed[i]) return false;
  }
  return true;
}

/* Runs a batch of 2 as exported: where that is refused, or gives something else altogether, dimension 0 is no batch. */
static void find_out_whether_batched(check *check) {
  configuration plain = {NULL, NORMA_OPTIMIZE_NONE, false, 1, false};
  batch_edit edit = {check, ANY_BATCH, false};
  engine engine = {NULL, NULL, NULL, 0};
  value joined[MOST_INPUTS] = {{.kind = NORMA_VALUE_NONE}};
  norma_error error;
  bool any = false;
  for (size_t i = 0; i < check->input_count; i++) {
    const norma_tensor *sample = norma_value_tensor(&check->samples[0][i]);
    check->batched[i] = sample && sample->rank > 0 && sample->dims[0] > 0 && sample->type != NORMA_STRING &&
                        (sample->dims[0] == 1 || !check->fixed[i]);
    any = any || check->batched[i];
  }
  if (!any) {
    snprintf(check->unbatched, sizeof check->unbatched, "no input has a dimension 0 that is open or 1");
    return;
  }
  if (engine_open(&engine, check->path, &plain, &edit, &error) != NORMA_OK ||
      join_samples(check, 2, joined, &error) != NORMA_OK || engine_run(&engine, check, joined, &error) != NORMA_OK) {
    snprintf(check->unbatched, sizeof check->unbatched, "%s", error.message);
  } else if (outputs_grow(check, &engine, 2)) {
    for (int64_t k = 0; k < 2; k++) {
      for (size_t i = 0; i < check->expected[k].count; i++) {
        const norma_tensor *one = norma_value_tensor(&check->expected[k].values[i]);
        double found = part_error(one, norma_value_tensor(norma_session_output(engine.session, i)), k);
        if (found <= 1e-2) continue;
        snprintf(check->unbatched, sizeof check->unbatched, "output %zu mixes samples", i);
      }
    }
  }
  engine_close(&engine);
  for (size_t i = 0; i < check->input_count; i++) value_clear(&joined[i]);
}

static bool check_batches(check *check, const configuration *base) {
  static const struct {
    int threads;
    int64_t declared, batches[2];
  } cases[] = {{1, ANY_BATCH, {2, 5}}, {2, ANY_BATCH, {2, 0}}, {3, ANY_BATCH, {5, 0}},
               {7, ANY_BATCH, {5, 2}}, {2, 5, {5, 0}},         {1, 2, {2, 0}}};
  bool good = true;
  for (size_t i = 0; i < sizeof cases / sizeof *cases && good; i++) {
    configuration with = *base;
    batch_edit edit = {check, cases[i].declared, false};
    engine engine = {NULL, NULL, NULL, 0};
    norma_error error;
    if (cases[i].declared != ANY_BATCH && !has_fixed_batch(check)) continue;
    with.threads = cases[i].threads;
    if (engine_open(&engine, check->path, &with, &edit, &error) != NORMA_OK) {
      good = fail(check, &with, "with another batch", error.message);
    }
    for (int b = 0; b < 2 && good; b++) {
      if (cases[i].batches[b]) good = run_batch(check, &engine, &with, cases[i].batches[b]);
    }
    engine_close(&engine);
  }
  return good;
}

/* ---------------------------------------------------------------------------------------------------------- samples */

/* Sample k > 0: the elements of sample 0 moved on and scaled, where they are floats; else the same. */
static void make_sample(int k, const norma_tensor *from, norma_tensor *to) {
  int64_t count = norma_tensor_count(from);
  for (int64_t i = 0; i < count; i++) {
    double number = element_get_double(from->type, from->data, (i + 7 * k) % count);
    element_set_double(from->type, to->data, i, number * (1 - 0.07 * k));
  }
}

static norma_status read_sample(check *check, size_t index, const norma_value_info *info, norma_error *error) {
  value *sample = check->samples[0];
  char path[4200];
  struct stat facts;
  snprintf(path, sizeof path, "%s/test_data_set_0/input_%zu.pb", check->folder, index);
  norma_value *read;
  if (stat(path, &facts) == 0) {
    TRY(tensor_file_read(check->runtime, path, info, &read, error));
  } else if (info->optional) {
    return NORMA_OK;
  } else {
    int64_t dims[NORMA_MAX_RANK];
    for (int i = 0; i < info->rank; i++) dims[i] = info->dims[i] < 0 ? 1 : info->dims[i];
    if (info->kind != NORMA_VALUE_TENSOR || info->rank < 0) {
      return error_set(error, NORMA_ERROR_INPUT, "input %zu has no data", index);
    }
    TRY(fill_value(check->runtime, info->type, info->rank, dims, FILL_RANDOM, index + 1, &read, error));
  }
  value_share(&sample[index], read);
  norma_value_destroy(read);
  return NORMA_OK;
}

static norma_status make_samples(check *check, const norma_model *model, norma_error *error) {
  check->input_count = norma_model_input_count(model);
  if (check->input_count > MOST_INPUTS) return error_set(error, NORMA_ERROR_INPUT, "too many inputs");
  for (size_t i = 0; i < check->input_count; i++) {
    norma_value_info info;
    norma_model_input(model, i, &info);
    snprintf(check->names[i], sizeof check->names[i], "%s", info.name);
    check->fixed[i] = info.rank > 0 && info.dims[0] >= 0;
    TRY(read_sample(check, i, &info, error));
    const value *first = &check->samples[0][i];
    const norma_tensor *tensor = norma_value_tensor(first);
    bool is_float = tensor && (TYPES_FLOAT & TYPE_BIT(tensor->type));
    for (int k = 1; k < SAMPLES; k++) {
      if (!is_float) {
        value_share(&check->samples[k][i], first);
        continue;
      }
      shape shape = shape_of_tensor(tensor);
      TRY(value_allocate_tensor(&check->account, &check->samples[k][i], tensor->type, &shape, error));
      make_sample(k, tensor, &check->samples[k][i].tensor);
    }
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- a model */

static void free_outputs(outputs *outputs) {
  for (size_t i = 0; i < outputs->count; i++) value_clear(&outputs->values[i]);
  outputs->count = 0;
}

static norma_status keep_outputs(check *check, const engine *engine, outputs *kept, norma_error *error) {
  size_t count = norma_model_output_count(engine->model);
  free_outputs(kept);
  if (count > MOST_OUTPUTS) return error_set(error, NORMA_ERROR_INPUT, "too many outputs");
  for (size_t i = 0; i < count; i++) {
    TRY(value_copy(&check->account, &kept->values[kept->count++], norma_session_output(engine->session, i), error));
  }
  return NORMA_OK;
}

/* All samples on one thread, each alone: what everything else must equal. */
static bool run_alone(check *check, const configuration *with) {
  engine engine = {NULL, NULL, NULL, 0};
  norma_error error;
  norma_status status = engine_open(&engine, check->path, with, NULL, &error);
  for (int k = 0; k < SAMPLES && status == NORMA_OK; k++) {
    status = engine_run(&engine, check, check->samples[k], &error);
    if (status == NORMA_OK) status = keep_outputs(check, &engine, &check->expected[k], &error);
  }
  if (status == NORMA_OK) status = engine_run(&engine, check, check->samples[0], &error);
  bool good = status == NORMA_OK ? check_same(check, &engine, with, &check->expected[0], "a later run")
                                 : fail(check, with, "alone", error.message);
  engine_close(&engine);
  return good;
}

static bool check_threads(check *check, const configuration *base) {
  static const struct {
    int threads;
    bool callers_loop;
  } cases[] = {{2, false}, {3, false}, {7, false}, {3, true}, {7, true}};
  bool good = true;
  for (size_t i = 0; i < sizeof cases / sizeof *cases && good; i++) {
    configuration with = *base;
    engine engine = {NULL, NULL, NULL, 0};
    norma_error error;
    with.threads = cases[i].threads;
    with.callers_loop = cases[i].callers_loop;
    if (engine_open(&engine, check->path, &with, NULL, &error) != NORMA_OK) {
      good = fail(check, &with, "loading", error.message);
    }
    for (int run = 0; run < (with.callers_loop ? 1 : 2) && good; run++) {
      if (engine_run(&engine, check, check->samples[0], &error) != NORMA_OK) {
        good = fail(check, &with, "running", error.message);
      } else {
        good = check_same(check, &engine, &with, &check->expected[0], run ? "second run" : "first run");
      }
    }
    engine_close(&engine);
  }
  return good;
}

static bool check_everything(check *check) {
  static const struct {
    norma_optimization level;
    bool exact;
  } levels[] = {{NORMA_OPTIMIZE_NONE, false},
                {NORMA_OPTIMIZE_BASIC, false},
                {NORMA_OPTIMIZE_FULL, false},
                {NORMA_OPTIMIZE_FULL, true}};
  configuration plain = {NULL, NORMA_OPTIMIZE_NONE, false, 1, false};
  if (!run_alone(check, &plain)) return false;
  find_out_whether_batched(check);
  const struct kernel_table *kernels;
  for (size_t i = 0; (kernels = kernel_table_at(i)); i++) {
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
      configuration with = {kernels->name, levels[l].level, levels[l].exact, 1, false};
      if (!run_alone(check, &with) || !check_threads(check, &with)) return false;
      if (!check->unbatched[0] && !check_batches(check, &with)) return false;
    }
  }
  return true;
}

typedef struct tally {
  int passed, failed, skipped;
} tally;

static void check_model(const char *folder, bool batches_wanted, tally *tally) {
  check *check = calloc(1, sizeof *check);
  engine engine = {NULL, NULL, NULL, 0};
  configuration plain = {NULL, NORMA_OPTIMIZE_NONE, false, 1, false};
  norma_error error;
  if (!check) exit(2);
  check->folder = folder;
  snprintf(check->path, sizeof check->path, "%s/model.onnx", folder);
  memory_init(&check->account, NULL, 0);
  const norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  norma_status status = norma_runtime_create(&options, &check->runtime, &error);
  if (status == NORMA_OK) status = engine_open(&engine, check->path, &plain, NULL, &error);
  if (status == NORMA_OK) status = make_samples(check, engine.model, &error);
  engine_close(&engine);
  if (status == NORMA_ERROR_UNSUPPORTED) {
    printf("skipped: %s: %s\n", folder, error.message);
    tally->skipped++;
  } else if (status != NORMA_OK) {
    printf("FAILED: %s: %s\n", folder, error.message);
    tally->failed++;
  } else if (!check_everything(check)) {
    printf("FAILED: %s: %s\n", folder, check->failure);
    tally->failed++;
  } else {
    printf("passed: %s: %s\n", folder, check->unbatched[0] ? "threads" : "threads and batches");
    tally->passed++;
    if (check->unbatched[0]) {
      printf("%s: %s: cannot be batched: %s\n", batches_wanted ? "FAILED" : "skipped", folder, check->unbatched);
      batches_wanted ? tally->failed++ : tally->skipped++;
    }
  }
  fflush(stdout);
  for (int k = 0; k < SAMPLES; k++) {
    free_outputs(&check->expected[k]);
    for (size_t i = 0; i < check->input_count; i++) value_clear(&check->samples[k][i]);
  }
  norma_runtime_destroy(check->runtime);
  free(check);
}

int main(int argc, char **argv) {
  bool batches_wanted = false;
  tally tally = {0, 0, 0};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--batches") == 0) {
      batches_wanted = true;
    } else {
      check_model(argv[i], batches_wanted, &tally);
    }
  }
  printf("%d passed, %d failed, %d skipped\n", tally.passed, tally.failed, tally.skipped);
  return tally.failed > 0 || tally.passed == 0;
}
