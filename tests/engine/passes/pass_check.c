#include "tests/engine/passes/pass_check.h"

#include "engine/passes/pass.h"
#include "engine/execute/runtime.h"
#include "tests/support/channel_error.h"
#include "tests/support/failing_allocations.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define MOST_PASSES 64
#define MOST_INPUTS 8

#define CHANNEL_FLOOR 0x1p-10 /* of random weights no channel is nearly 0 */

/* ---------------------------------------------------------------------------------------------------------- loading */

static bool is_listed(const char *list, const char *name) {
  size_t length = strlen(name);
  for (const char *at = list; (at = strstr(at, name)); at += length) {
    if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) return true;
  }
  return false;
}

/* The names of all passes but those listed. NULL lists all that do not change layouts, which have tests of their own. A
 * list that names no pass at all is a mistake of the test. */
static size_t list_disabled(const char *passes, const char **disabled) {
  size_t count = 0, enabled = 0;
  const pass *pass;
  bool before_layout = true; /* all groups up to the one that changes layouts */
  for (size_t i = 0; (pass = pass_at(i)); i++) {
    assert_true(i < MOST_PASSES);
    before_layout &= strcmp(pass->name, "block_layout") != 0;
    bool is_enabled = passes ? is_listed(passes, pass->name) : before_layout;
    if (is_enabled)
      enabled++;
    else
      disabled[count++] = pass->name;
  }
  if (enabled == 0) fail_msg("there is no pass among '%s'", passes);
  return count;
}

static norma_model *load(model_builder *b, norma_runtime *runtime, norma_optimization level, const char *passes) {
  const char *disabled[MOST_PASSES];
  norma_load_options options = {.struct_size = sizeof options, .runtime = runtime, .optimization = level};
  options.denormals = NORMA_DENORMALS_KEEP;
  options.disabled_passes = disabled;
  options.disabled_pass_count = list_disabled(passes, disabled);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_model *model;
  norma_error error;
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

/* ---------------------------------------------------------------------------------------------------------- running */

static void make_inputs(const norma_model *model, value *inputs) {
  size_t count = norma_model_input_count(model);
  uint64_t seed = 20240229;
  assert_true(count <= MOST_INPUTS);
  for (size_t i = 0; i < count; i++) {
    norma_value_info info;
    assert_int_equal(norma_model_input(model, i, &info), NORMA_OK);
    for (int d = 0; d < info.rank; d++) {
      if (info.dims[d] < 0) info.dims[d] = UNKNOWN_SIZE;
    }
    inputs[i] = random_tensor(&seed, info.type, info.rank, info.dims);
    bool is_float = (TYPES_FLOAT & TYPE_BIT(info.type)) != 0;
    for (int64_t e = 0; is_float && e < norma_tensor_count(&inputs[i].tensor); e++) {
      double number = element_get_double(info.type, inputs[i].tensor.data, e);
      element_set_double(info.type, inputs[i].tensor.data, e, 2 * number);
    }
  }
}

static norma_session *run(norma_model *model, value *inputs) {
  norma_session *session;
  norma_error error;
  if (norma_session_create(model, NULL, &session, &error) != NORMA_OK) fail_msg("%s", error.message);
  for (size_t i = 0; i < norma_model_input_count(model); i++) {
    norma_value_info info;
    assert_int_equal(norma_model_input(model, i, &info), NORMA_OK);
    if (norma_session_set_input(session, info.name, &inputs[i].tensor, &error) != NORMA_OK)
      fail_msg("%s", error.message);
  }
  if (norma_session_run(session, &error) != NORMA_OK) fail_msg("%s", error.message);
  return session;
}

checked check_passes(model_builder *b, const char *passes, double bound) {
  checked checked = {.builder = b};
  norma_error error;
  value inputs[MOST_INPUTS];
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
  assert_int_equal(norma_runtime_create(&options, &checked.runtime, &error), NORMA_OK);
  checked.used = norma_runtime_memory_used(checked.runtime);
  norma_model *plain = load(b, checked.runtime, NORMA_OPTIMIZE_NONE, NULL);
  checked.model = load(b, checked.runtime, NORMA_OPTIMIZE_FULL, passes);
  make_inputs(plain, inputs);
  norma_session *expected = run(plain, inputs), *found = run(checked.model, inputs);
  assert_int_equal(norma_model_output_count(plain), norma_model_output_count(checked.model));
  for (size_t i = 0; i < norma_model_output_count(plain); i++) {
    norma_value_info before, after;
    assert_int_equal(norma_model_output(plain, i, &before), NORMA_OK);
    assert_int_equal(norma_model_output(checked.model, i, &after), NORMA_OK);
    assert_string_equal(before.name, after.name);
    char what[160];
    snprintf(what, sizeof what, "output '%s'", before.name);
    assert_channels_near(what, norma_value_tensor(norma_session_output(expected, i)),
                         norma_value_tensor(norma_session_output(found, i)), (channel_bound){bound, CHANNEL_FLOOR});
  }
  norma_session_destroy(expected);
  norma_session_destroy(found);
  for (size_t i = 0; i < norma_model_input_count(plain); i++) random_tensor_free(&inputs[i]);
  norma_model_destroy(plain);
  return checked;
}

void free_checked(checked *checked) {
  norma_model_destroy(checked->model);
  assert_int_equal(norma_runtime_memory_used(checked->runtime), checked->used);
  norma_runtime_destroy(checked->runtime);
  builder_destroy(checked->builder);
  *checked = (struct checked){0};
}

checked check_nodes(model_builder *b, const char *passes, double bound, int count) {
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  checked checked = check_passes(b, passes, bound);
  if (count_nodes(&checked, NULL) != count) fail_msg("%d nodes instead of %d", count_nodes(&checked, NULL), count);
  return checked;
}

void expect_nodes(model_builder *b, const char *passes, double bound, int count) {
  checked checked = check_nodes(b, passes, bound, count);
  free_checked(&checked);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

typedef struct rewriting {
  const void *bytes;
  size_t size;
  const char *passes;
} rewriting;

static norma_status rewrite(void *context, const norma_allocator *allocator, norma_error *error) {
  const rewriting *work = context;
  const char *disabled[MOST_PASSES];
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .allocator = *allocator};
  norma_load_options load = {.struct_size = sizeof load, .disabled_passes = disabled};
  load.denormals = NORMA_DENORMALS_KEEP;
  load.disabled_pass_count = list_disabled(work->passes, disabled);
  norma_status status = norma_runtime_create(&options, &runtime, error);
  load.runtime = runtime;
  if (status == NORMA_OK) status = norma_model_load_memory(work->bytes, work->size, &load, &model, error);
  norma_model_destroy(model);
  norma_runtime_destroy(runtime);
  return status;
}

void check_allocations(model_builder *b, const char *passes) {
  rewriting work = {.passes = passes};
  work.bytes = builder_bytes(b, &work.size);
  assert_int_equal(fail_each_allocation(rewrite, &work), 0);
  builder_destroy(b);
}

/* ------------------------------------------------------------------------------------------------------------- time */

/* Of this thread, so that other programs do not count. */
static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double time_load(model_builder *b, const char *passes, int count, size_t *used) {
  double fastest = INFINITY;
  for (int i = 0; i < 3; i++) {
    checked checked = {.builder = b};
    norma_error error;
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1};
    assert_int_equal(norma_runtime_create(&options, &checked.runtime, &error), NORMA_OK);
    checked.used = norma_runtime_memory_used(checked.runtime);
    const double start = cpu_seconds();
    checked.model = load(b, checked.runtime, NORMA_OPTIMIZE_FULL, passes);
    fastest = fmin(fastest, cpu_seconds() - start);
    *used = norma_runtime_memory_used(checked.runtime) - checked.used;
    if (count >= 0) assert_int_equal(count_nodes(&checked, NULL), count);
    norma_model_destroy(checked.model);
    norma_runtime_destroy(checked.runtime);
  }
  builder_destroy(b);
  return fastest;
}

/* ---------------------------------------------------------------------------------------------------------- looking */

typedef struct tally {
  const char *op_type;
  int count;
} tally;

static bool count_in(void *argument, graph *graph) {
  tally *tally = argument;
  for (node *node = graph->first; node; node = node->next) {
    if (!tally->op_type || strcmp(node->op_type, tally->op_type) == 0) tally->count++;
    node_visit_subgraphs(node, count_in, tally);
  }
  return true;
}

int count_nodes(const checked *checked, const char *op_type) {
  tally tally = {op_type, 0};
  count_in(&tally, checked->model->graph);
  return tally.count;
}

const node *only_node(const checked *checked, const char *op_type) {
  const node *found = NULL;
  for (const node *node = checked->model->graph->first; node; node = node->next) {
    if (strcmp(node->op_type, op_type) != 0) continue;
    if (found) fail_msg("there is more than one %s", op_type);
    found = node;
  }
  if (!found) fail_msg("there is no %s", op_type);
  return found;
}

/* --------------------------------------------------------------------------------------------------------- building */

void add_numbers(model_builder *b, const char *name, norma_element_type type, int rank, const int64_t *dims,
                 const double *numbers) {
  int64_t count = dims_product(dims, 0, rank);
  char *data = calloc((size_t)count + 1, element_type_bytes(type));
  assert_non_null(data);
  for (int64_t i = 0; i < count; i++) element_set_double(type, data, i, numbers[i]);
  builder_initializer(b, name, type, rank, dims, data);
  free(data);
}

void add_random(model_builder *b, const char *name, norma_element_type type, int rank, const int64_t *dims, double low,
                double high) {
  int64_t count = dims_product(dims, 0, rank);
  double *numbers = calloc((size_t)count + 1, sizeof *numbers);
  assert_non_null(numbers);
  uint64_t state = 88172645463325252u;
  for (const char *letter = name; *letter; letter++) state = state * 31 + (unsigned char)*letter;
  for (int64_t i = 0; i < count; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    numbers[i] = low + (high - low) * ((double)(state >> 11) * 0x1p-53);
  }
  add_numbers(b, name, type, rank, dims, numbers);
  free(numbers);
}

void add_number(model_builder *b, const char *name, norma_element_type type, double number) {
  add_numbers(b, name, type, 0, NULL, &number);
}
