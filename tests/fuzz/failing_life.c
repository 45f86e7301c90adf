#include "tests/fuzz/failing_life.h"

#include "tests/fuzz/inspector.h"
#include "tests/support/counting_allocator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EDITED = 4, MOST_NODES = 64 };

typedef struct life {
  const vector_folder *vector;
  const life_plan *plan;
  counting_allocator counting;
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
  norma_value *inputs[VECTOR_MOST_FILES];
  norma_editor *editor;
  norma_bn_study *study;
  norma_moments *moments[MOST_NODES]; /* of the study's nodes */
  int levels, level;                  /* of the study; the one that is measured */
  uint64_t digest;
  norma_error error;
} life;

typedef norma_status life_step(life *life);

/* FNV-1a. */
static uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t size) {
  const unsigned char *byte = bytes;
  for (size_t i = 0; i < size; i++) digest = (digest ^ byte[i]) * 0x100000001B3u;
  return digest;
}

static bool write_to_digest(void *context, const void *bytes, size_t count) {
  uint64_t *digest = context;
  *digest = digest_bytes(*digest, bytes, count);
  return true;
}

/* --------------------------------------------------------------------------------------------- steps of all of them */

static norma_status create_runtime(life *life) {
  norma_runtime_options options = {.struct_size = sizeof options, .threads = life->plan->threads};
  options.allocator = counting_allocator_functions(&life->counting);
  return norma_runtime_create(&options, &life->runtime, &life->error);
}

static norma_status load_in_form(life *life, norma_graph_form form, norma_optimization level) {
  norma_load_options options = vector_load_options(life->vector, life->runtime);
  options.form = form;
  options.optimization = level;
  options.keep_constants = form != NORMA_FORM_RUN;
  if (form != NORMA_FORM_RUN) options.overridable_count = 0;
  return norma_model_load(life->vector->model_path, &options, &life->model, &life->error);
}

/* ------------------------------------------------------------------------------------------------------------- runs */

static norma_status load_plain(life *life) {
  return load_in_form(life, NORMA_FORM_RUN, NORMA_OPTIMIZE_NONE);
}

static norma_status load_full(life *life) {
  return load_in_form(life, NORMA_FORM_RUN, NORMA_OPTIMIZE_FULL);
}

static norma_status create_session(life *life) {
  return norma_session_create(life->model, NULL, &life->session, &life->error);
}

static norma_status set_inputs_of(life *life, const norma_model *model, norma_session *session) {
  for (size_t i = 0; i < norma_model_input_count(model); i++) {
    norma_value_info info;
    const file_bytes *file = &life->vector->inputs[i];
    if (i >= life->vector->input_count) break;
    norma_status status = norma_model_input(model, i, &info);
    if (status != NORMA_OK) return status;
    if (!life->inputs[i]) {
      status = norma_value_read(life->runtime, file->data, file->size, info.kind, &life->inputs[i], &life->error);
      if (status != NORMA_OK) return status;
    }
    status = norma_session_set_input_value(session, info.name, life->inputs[i], &life->error);
    if (status != NORMA_OK) return status;
  }
  return NORMA_OK;
}

static norma_status set_inputs(life *life) {
  return set_inputs_of(life, life->model, life->session);
}

static norma_status run(life *life) {
  return norma_session_run(life->session, &life->error);
}

static norma_status digest_outputs(life *life) {
  uint64_t digest = life->digest;
  for (size_t i = 0; i < norma_model_output_count(life->model); i++) {
    const norma_value *output = norma_session_output(life->session, i);
    if (norma_value_get_kind(output) == NORMA_VALUE_NONE) continue;
    norma_status status = norma_value_write(life->runtime, output, NULL, write_to_digest, &digest, &life->error);
    if (status != NORMA_OK) return status;
  }
  life->digest = digest;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------- look and edit */

static norma_status load_to_look(life *life) {
  norma_status status = load_in_form(life, NORMA_FORM_INSPECT, NORMA_OPTIMIZE_NONE);
  if (status != NORMA_OK) return status;
  const uint64_t seen = inspect_model(life->model);
  life->digest = digest_bytes(life->digest, &seen, sizeof seen);
  return NORMA_OK;
}

/* An initializer gets its own contents again, and a twin. */
static norma_status edit_initializer(life *life, const char *name) {
  norma_value *contents = NULL;
  const char *twin;
  norma_status status = norma_editor_read_value(life->editor, name, &contents, &life->error);
  const norma_tensor *tensor = norma_value_tensor(contents);
  if (status == NORMA_OK && tensor->type != NORMA_STRING) {
    status = norma_editor_replace(life->editor, name, tensor, &life->error);
    if (status == NORMA_OK) status = norma_editor_add(life->editor, "twin", tensor, &twin, &life->error);
  }
  norma_value_destroy(contents);
  return status == NORMA_ERROR_UNSUPPORTED ? NORMA_OK : status; /* sparse, or elsewhere */
}

/* A fresh editor in place of one that a failed step has left. */
static norma_status open_editor(life *life) {
  norma_editor_destroy(life->editor);
  life->editor = NULL;
  return norma_editor_open_memory(life->runtime, life->vector->model.data, life->vector->model.size, NULL, NULL,
                                  &life->editor, &life->error);
}

static norma_status edit_initializers(life *life) {
  const norma_graph *graph = norma_model_graph(life->model);
  const norma_graph_value *value;
  int edited = 0;
  norma_status status = open_editor(life);
  for (size_t i = 0; status == NORMA_OK && edited < MOST_EDITED; i++) {
    norma_graph_value_info info = {.struct_size = sizeof info};
    if (!(value = norma_graph_value_at(graph, i))) break;
    norma_graph_value_describe(value, &info);
    if (!info.is_initializer || info.producer) continue;
    status = edit_initializer(life, info.name);
    edited++;
  }
  return status;
}

static norma_status write_edited(life *life) {
  uint64_t digest = life->digest;
  norma_status status = norma_editor_write(life->editor, write_to_digest, &digest, &life->error);
  if (status == NORMA_OK) life->digest = digest;
  return status;
}

/* ------------------------------------------------------------------------------------------------------------ write */

static norma_status load_to_write(life *life) {
  return load_in_form(life, NORMA_FORM_OPTIMIZED, NORMA_OPTIMIZE_FULL);
}

static norma_status write_model(life *life) {
  uint64_t digest = life->digest;
  norma_load_options options = vector_load_options(life->vector, life->runtime);
  norma_status status = norma_model_write(life->model, life->vector->model.data, life->vector->model.size, &options,
                                          write_to_digest, &digest, NULL, &life->error);
  if (status == NORMA_OK) life->digest = digest;
  return status;
}

/* -------------------------------------------------------------------------------------------------------- normalize */

/* Of the study; models with more than there is room for count as having none. */
static size_t node_count(const life *life) {
  const size_t count = norma_bn_count(life->study);
  return count <= MOST_NODES ? count : 0;
}

static norma_status open_study(life *life) {
  norma_load_options options = vector_load_options(life->vector, life->runtime);
  options.overridable_count = 0;
  norma_status status = NORMA_OK;
  if (!life->study) status = norma_bn_open(life->vector->model_path, &options, &life->study, &life->error);
  if (status != NORMA_OK) return status;
  return norma_bn_choose(life->study, NULL, &life->levels, &life->error);
}

/* The model of one level, run once; what the nodes get becomes their moments. */
static norma_status measure_stage(life *life, norma_bn_setting *settings, const norma_model *stage,
                                  norma_session *session) {
  norma_status status = set_inputs_of(life, stage, session);
  if (status == NORMA_OK) status = norma_session_run(session, &life->error);
  for (size_t i = 0; i < node_count(life) && status == NORMA_OK; i++) {
    if (!settings[i].is_wanted) continue;
    const norma_tensor *x = norma_value_tensor(norma_session_output(session, settings[i].output));
    if (!life->moments[i]) {
      status = norma_moments_create(life->runtime, x->rank > 1 ? x->dims[1] : 1, &life->moments[i], &life->error);
    }
    if (status == NORMA_OK) norma_moments_reset(life->moments[i]);
    if (status == NORMA_OK) status = norma_moments_add(life->moments[i], x, &life->error);
  }
  return status;
}

static norma_status measure_level(life *life) {
  norma_bn_setting settings[MOST_NODES] = {{.is_wanted = false}};
  norma_model *stage = NULL;
  norma_session *session = NULL;
  norma_load_options options = {.struct_size = sizeof options, .runtime = life->runtime};
  bool any = false;
  for (size_t i = 0; i < node_count(life); i++) {
    norma_bn_info info = {.struct_size = sizeof info};
    norma_bn_describe(life->study, i, &info);
    settings[i].is_wanted = info.is_chosen && info.level == life->level;
    any = any || settings[i].is_wanted;
  }
  if (!any) return NORMA_OK;
  norma_status status = norma_bn_stage(life->study, &options, settings, &stage, &life->error);
  if (status == NORMA_OK) status = norma_session_create(stage, NULL, &session, &life->error);
  if (status == NORMA_OK) status = measure_stage(life, settings, stage, session);
  norma_session_destroy(session);
  norma_model_destroy(stage);
  return status;
}

static norma_status measure_levels(life *life) {
  for (life->level = 1; life->level <= life->levels; life->level++) {
    norma_status status = measure_level(life);
    if (status != NORMA_OK) return status;
  }
  return NORMA_OK;
}

static norma_status set_statistics_of(life *life, size_t index, int64_t channels) {
  double *numbers = calloc((size_t)channels * 3 + 1, sizeof *numbers);
  if (!numbers) abort();
  double *mean = numbers + channels, *variance = mean + channels;
  norma_status status = norma_moments_read(life->moments[index], numbers, mean, variance, &life->error);
  if (status == NORMA_OK) {
    status = norma_bn_set_statistics(life->study, index, life->editor, mean, variance, NULL, &life->error);
  }
  if (status == NORMA_OK) life->digest = digest_bytes(life->digest, numbers, 3 * (size_t)channels * sizeof *numbers);
  free(numbers);
  return status;
}

static norma_status set_statistics(life *life) {
  const uint64_t digest = life->digest;
  norma_status status = open_editor(life);
  for (size_t i = 0; i < node_count(life) && status == NORMA_OK; i++) {
    if (life->moments[i]) status = set_statistics_of(life, i, norma_moments_channels(life->moments[i]));
  }
  if (status == NORMA_OK) status = norma_bn_freeze(life->study, life->editor, NULL, &life->error);
  if (status != NORMA_OK) life->digest = digest;
  return status;
}

/* Through a copy, which is made by merging. */
static norma_status export_copy(life *life, const norma_moments *original, uint64_t *digest) {
  norma_moments *copy = NULL;
  norma_status status = norma_moments_create(life->runtime, norma_moments_channels(original), &copy, &life->error);
  if (status == NORMA_OK) status = norma_moments_merge(copy, original, &life->error);
  if (status == NORMA_OK) status = norma_moments_export(copy, write_to_digest, digest, &life->error);
  norma_moments_destroy(copy);
  return status;
}

static norma_status export_all(life *life) {
  uint64_t digest = life->digest;
  norma_status status = NORMA_OK;
  for (size_t i = 0; i < node_count(life) && status == NORMA_OK; i++) {
    if (life->moments[i]) status = export_copy(life, life->moments[i], &digest);
  }
  if (status == NORMA_OK) status = norma_editor_write(life->editor, write_to_digest, &digest, &life->error);
  if (status == NORMA_OK) life->digest = digest;
  return status;
}

/* --------------------------------------------------------------------------------------------------------- one life */

typedef struct named_step {
  const char *name;
  life_step *step;
} named_step;

enum { MOST_STEPS = 9 };

static const named_step steps[LIFE_KINDS][MOST_STEPS] = {
    [LIFE_RUN_PLAIN] = {{"runtime", create_runtime},
                        {"load", load_plain},
                        {"session", create_session},
                        {"inputs", set_inputs},
                        {"first run", run},
                        {"outputs", digest_outputs},
                        {"second run", run},
                        {"outputs", digest_outputs}},
    [LIFE_RUN_FULL] = {{"runtime", create_runtime},
                       {"load", load_full},
                       {"session", create_session},
                       {"inputs", set_inputs},
                       {"first run", run},
                       {"outputs", digest_outputs},
                       {"second run", run},
                       {"outputs", digest_outputs}},
    [LIFE_LOOK] = {{"runtime", create_runtime},
                   {"load", load_to_look},
                   {"edit", edit_initializers},
                   {"write", write_edited}},
    [LIFE_WRITE] = {{"runtime", create_runtime}, {"load", load_to_write}, {"write", write_model}},
    [LIFE_NORMALIZE] = {{"runtime", create_runtime},
                        {"study", open_study},
                        {"measure", measure_levels},
                        {"statistics", set_statistics},
                        {"export", export_all}},
};

const char *life_kind_name(life_kind kind) {
  static const char *const names[] = {
#define NAME(constant, name) name,
      LIFE_KIND_LIST(NAME)
#undef NAME
  };
  return names[kind];
}

static bool is_good_error(norma_status status, const norma_error *error) {
  return error->status == status && error->message[0] != '\0' && status != NORMA_ERROR_INTERNAL &&
         memchr(error->message, 0, sizeof error->message);
}

static norma_status do_step(life *life, const named_step *step, life_result *result) {
  life->error = (norma_error){.status = NORMA_OK};
  norma_status status = step->step(life);
  if (status == NORMA_OK) return status;
  snprintf(result->step, sizeof result->step, "%s", step->name);
  if (!is_good_error(status, &life->error) && !result->fault[0]) {
    snprintf(result->fault, sizeof result->fault, "%s: %s, and the error says %s, '%.200s'", step->name,
             norma_status_text(status), norma_status_text(life->error.status), life->error.message);
  }
  return status;
}

static void end_life(life *life) {
  norma_session_destroy(life->session);
  for (size_t i = 0; i < VECTOR_MOST_FILES; i++) norma_value_destroy(life->inputs[i]);
  for (size_t i = 0; i < MOST_NODES; i++) norma_moments_destroy(life->moments[i]);
  norma_editor_destroy(life->editor);
  norma_bn_destroy(life->study);
  norma_model_destroy(life->model);
  norma_runtime_destroy(life->runtime);
}

void live(const vector_folder *vector, const life_plan *plan, life_result *result) {
  life life = {.vector = vector, .plan = plan, .digest = 0xCBF29CE484222325u};
  life.counting.fail_at = plan->fail_at;
  life.counting.fail_from = plan->fail_from;
  *result = (life_result){.status = NORMA_OK};
  for (const named_step *step = steps[plan->kind]; step->step; step++) {
    result->status = do_step(&life, step, result);
    if (result->status == NORMA_ERROR_OUT_OF_MEMORY) {
      result->ran_out = true;
      life.counting.fail_at = 0;
      if (plan->tries_again) result->status = do_step(&life, step, result);
    }
    if (result->status != NORMA_OK) break;
  }
  end_life(&life);
  result->digest = life.digest;
  result->allocations = atomic_load(&life.counting.allocations);
  result->failed = atomic_load(&life.counting.failures) > 0;
  if (atomic_load(&life.counting.outstanding) != 0 && !result->fault[0]) {
    snprintf(result->fault, sizeof result->fault, "%ld blocks are lost", atomic_load(&life.counting.outstanding));
  }
}
