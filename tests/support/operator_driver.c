#include "tests/support/operator_driver.h"

#include "engine/execute/evaluation.h"
#include "tests/support/builtin_operator.h"
#include "tests/support/call_keeper.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GUARD_BYTES 64
#define GUARD_FILL  0xA5

void driver_init(driver *driver) {
  memset(driver, 0, sizeof *driver);
  memory_init(&driver->memory, NULL, 0);
  region_init(&driver->region, &driver->memory);
}

static void clear_outputs(driver *driver) {
  for (int i = 0; i < DRIVER_MAX; i++) value_clear(&driver->outputs[i]);
}

void driver_finish(driver *driver) {
  clear_outputs(driver);
  region_free(&driver->region);
  thread_pool_destroy(driver->pool);
  size_t left = atomic_load(&driver->memory.used);
  if (left) fail_msg("%zu bytes were not given back", left);
}

const struct kernel_table *driver_kernels(int index) {
  return kernel_table_at((size_t)index);
}

/* ---------------------------------------------------------------------------------------------------------- one run */

/* Everything that lives for one call. */
typedef struct driver_run_state {
  driver *driver;
  const driver_call *call;
  packed_constants *packed;
  executor executor;
  graph *graph;
  node *node;
  value_info infos[DRIVER_MAX], items[DRIVER_MAX];
  const value *inputs[DRIVER_MAX], *constants[DRIVER_MAX];
  void *saved[DRIVER_MAX]; /* copies of the inputs' contents */
  value outputs[DRIVER_MAX];
  char *guarded[DRIVER_MAX]; /* blocks around outputs of known shape */
} driver_run_state;

#define RUN_CHECK(condition)                                                                                           \
  do {                                                                                                                 \
    if (!(condition)) fail_msg("the driver ran out of memory: %s", #condition);                                        \
  } while (0)

static const operator_attribute *find_attribute(const operator_descriptor *op, const char *name, int version) {
  for (const operator_attribute *a = op->attributes; a && a->name; a++) {
    if (strcmp(a->name, name) == 0 && version >= a->since && (a->until == OPERATOR_LATEST || version <= a->until)) {
      return a;
    }
  }
  return NULL;
}

static norma_status check_attributes(const node *checked, norma_error *error) {
  for (int i = 0; i < checked->attribute_count; i++) {
    const attribute *given = &checked->attributes[i];
    const operator_attribute *known = find_attribute(checked->op, given->name, checked->version);
    if (!known || known->kind != given->kind) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, checked, "attribute %s is not known", given->name);
    }
  }
  for (const operator_attribute *a = checked->op->attributes; a && a->name; a++) {
    if (a->required && find_attribute(checked->op, a->name, checked->version) == a &&
        !node_attribute(checked, a->name)) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, checked, "attribute %s is missing", a->name);
    }
  }
  return NORMA_OK;
}

/* Bit of an input in the rules of an operator: what follows the last one that is named is as that one. */
static uint32_t input_bit(const operator_descriptor *op, int index) {
  int last = 0;
  for (const type_rule *rule = op->types; rule->types; rule++) {
    while (last < 31 && rule->inputs >> (last + 1)) last++;
  }
  bool variadic = op->max_inputs == OPERATOR_VARIADIC && index > last;
  return UINT32_C(1) << (variadic ? last : index);
}

static norma_status check_types(const node *checked, const value_info *const *inputs, const value_info *outputs,
                                norma_error *error) {
  for (const type_rule *rule = checked->op->types; rule->types; rule++) {
    norma_element_type common = NORMA_UNDEFINED;
    for (int i = 0; i < checked->input_count + checked->output_count; i++) {
      bool is_input = i < checked->input_count;
      const value_info *info = is_input ? inputs[i] : &outputs[i - checked->input_count];
      bool ruled = is_input ? (rule->inputs & input_bit(checked->op, i)) != 0
                            : (rule->outputs & OUTPUT(i - checked->input_count)) != 0;
      if (!ruled || !info || info->kind != NORMA_VALUE_TENSOR || info->type == NORMA_UNDEFINED) continue;
      if (!(TYPE_BIT(info->type) & rule->types)) {
        return error_at_node(error, NORMA_ERROR_UNSUPPORTED, checked, "element type %s",
                             norma_element_type_name(info->type));
      }
      if (common != NORMA_UNDEFINED && info->type != common) {
        return error_at_node(error, NORMA_ERROR_INVALID_MODEL, checked, "element types %s and %s differ",
                             norma_element_type_name(common), norma_element_type_name(info->type));
      }
      common = info->type;
    }
  }
  return NORMA_OK;
}

/* The graph drops what its attributes hold when it goes, so they are given references of their own. */
static attribute share_attribute(driver_run_state *run, const attribute *given) {
  attribute result = *given;
  if (!attribute_holds_tensor(given) || !given->tensor) return result;
  RUN_CHECK(result.tensor = region_allocate(&run->driver->region, sizeof *result.tensor));
  value_share(result.tensor, given->tensor);
  return result;
}

static void build_graph(driver_run_state *run) {
  const driver_call *call = run->call;
  char name[32];
  int attribute_count = 0;
  while (call->attributes[attribute_count].name) attribute_count++;
  RUN_CHECK(run->graph = graph_create(&run->driver->region, &run->driver->memory, "test", NULL, NULL));
  RUN_CHECK(run->node = graph_add_node(run->graph, "tested", call->op_type, call->domain ? call->domain : "",
                                       call->input_count, call->output_count, attribute_count));
  for (int i = 0; i < attribute_count; i++) run->node->attributes[i] = share_attribute(run, &call->attributes[i]);
  for (int i = 0; i < call->input_count; i++) {
    if (!call->inputs[i]) continue;
    graph_value *input = NULL;
    for (int j = 0; j < i && !input; j++) {
      if (call->inputs[j] == call->inputs[i]) input = run->node->inputs[j];
    }
    if (!input) {
      snprintf(name, sizeof name, "input_%d", i);
      RUN_CHECK(input = graph_add_value(run->graph, name));
      input->info = value_info_of(call->inputs[i]);
    }
    if ((call->constants >> i & 1) && !input->constant) {
      value contents;
      value_share(&contents, call->inputs[i]);
      RUN_CHECK(graph_set_constant(input, &contents));
    }
    node_set_input(run->node, i, input);
  }
  for (int i = 0; i < call->output_count; i++) {
    if (call->absent_outputs >> i & 1) continue;
    snprintf(name, sizeof name, "output_%d", i);
    graph_value *output = graph_add_value(run->graph, name);
    RUN_CHECK(output);
    node_set_output(run->node, i, output);
  }
}

static norma_status resolve(driver_run_state *run) {
  const driver_call *call = run->call;
  norma_error *error = &run->driver->error;
  node *made = run->node;
  made->opset = call->opset;
  made->op = builtin_operator(made->domain, made->op_type);
  made->version = made->op ? operator_version(made->op, call->opset) : 0;
  if (!made->version) return error_at_node(error, NORMA_ERROR_UNSUPPORTED, made, "operator not known");
  bool too_many = call->input_count > made->op->max_inputs && !call->residual_input && !call->bias_input;
  if (call->input_count < made->op->min_inputs || too_many || call->output_count < made->op->min_outputs ||
      call->output_count > made->op->max_outputs) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, made, "wrong number of inputs or outputs");
  }
  TRY(check_attributes(made, error));
  made->epilogue.activation = call->activation;
  made->epilogue.bias_input = call->bias_input;
  made->epilogue.residual_input = call->residual_input;
  made->state = region_allocate(&run->driver->region, made->op->state_size);
  RUN_CHECK(made->state);
  return made->op->read ? made->op->read(made, made->state, error) : NORMA_OK;
}

/* How much an inference is told. */
typedef enum knowledge { KNOW_TYPES, KNOW_RANKS, KNOW_ALL } knowledge;

static norma_status infer(driver_run_state *run, knowledge known, value_info *outputs) {
  const node *made = run->node;
  value_info infos[DRIVER_MAX];
  const value_info *inputs[DRIVER_MAX] = {NULL};
  const value *values[DRIVER_MAX] = {NULL};
  norma_tensor contents[DRIVER_MAX] = {{0}};
  for (int i = 0; i < made->input_count; i++) {
    if (!run->inputs[i]) continue;
    bool constant = run->constants[i] != NULL;
    infos[i] = run->infos[i];
    if (known == KNOW_TYPES && !constant) infos[i].shape = shape_unknown();
    if (known == KNOW_RANKS && !constant && infos[i].kind == NORMA_VALUE_TENSOR) {
      infos[i].shape = shape_of_rank(infos[i].shape.rank);
    }
    inputs[i] = &infos[i];
    values[i] = constant || known == KNOW_ALL ? run->inputs[i] : NULL;
  }
  for (int i = 0; i < made->output_count; i++) outputs[i] = (value_info){.shape = {.rank = RANK_UNKNOWN}};
  infer_context context = {.node = made,
                           .state = made->state,
                           .input_count = made->input_count,
                           .output_count = made->output_count,
                           .inputs = inputs,
                           .values = values,
                           .outputs = outputs,
                           .known = contents,
                           .region = &run->driver->region,
                           .failure = known == KNOW_ALL ? NORMA_ERROR_INPUT : NORMA_ERROR_INVALID_MODEL,
                           .error = &run->driver->error};
  TRY(made->op->infer(&context));
  return check_types(made, inputs, outputs, &run->driver->error);
}

/* What little knowledge says must not be contradicted by more. */
static void compare_inferences(const driver_run_state *run, const value_info *less, const value_info *more) {
  for (int i = 0; i < run->node->output_count; i++) {
    if (less[i].kind == NORMA_VALUE_NONE || more[i].kind == NORMA_VALUE_NONE) continue;
    shape merged = less[i].shape;
    if (less[i].kind != more[i].kind || (less[i].type != NORMA_UNDEFINED && less[i].type != more[i].type) ||
        !shape_merge(&merged, &more[i].shape)) {
      char early[200], late[200];
      fail_msg("%s: output %d was inferred as %s %s at load and %s %s later", run->call->op_type, i,
               norma_element_type_name(less[i].type), shape_text(&less[i].shape, early, sizeof early),
               norma_element_type_name(more[i].type), shape_text(&more[i].shape, late, sizeof late));
    }
  }
}

static norma_status infer_all(driver_run_state *run, value_info *outputs) {
  value_info types[DRIVER_MAX];
  TRY(infer(run, KNOW_TYPES, types));
  TRY(infer(run, KNOW_RANKS, run->driver->inferred));
  TRY(infer(run, KNOW_ALL, outputs));
  compare_inferences(run, types, run->driver->inferred);
  compare_inferences(run, types, outputs);
  compare_inferences(run, run->driver->inferred, outputs);
  return NORMA_OK;
}

/* Memory for an output whose shape is known, between guards; of output 0 in place, with the contents of input 0. */
static void place_output(driver_run_state *run, int index, const value_info *info) {
  value *output = &run->outputs[index];
  bool plain = info->kind == NORMA_VALUE_TENSOR && info->type != NORMA_STRING && shape_is_known(&info->shape);
  if (!plain) return;
  if (norma_tensor_init(&output->tensor, info->type, info->shape.rank, info->shape.dims, NULL) != NORMA_OK) return;
  size_t bytes = output->tensor.size_bytes;
  char *block = memory_allocate(&run->driver->memory, bytes + 2 * GUARD_BYTES);
  if (!block) return; /* left to evaluate_node, which fails for the same reason */
  memset(block, GUARD_FILL, bytes + 2 * GUARD_BYTES);
  run->guarded[index] = block;
  output->kind = NORMA_VALUE_TENSOR;
  output->tensor.data = block + GUARD_BYTES;
}

static void place_outputs(driver_run_state *run, const value_info *infos, value *in_place) {
  const driver_call *call = run->call;
  for (int i = 0; i < call->output_count; i++) {
    if (!((call->absent_outputs | call->unwanted_outputs) >> i & 1)) place_output(run, i, &infos[i]);
  }
  if (!call->in_place) return;
  const int index = call->in_place_input;
  const norma_tensor *input = &call->inputs[index]->tensor;
  norma_tensor *output = &run->outputs[0].tensor;
  if (!(run->node->op->in_place & INPUT(index)) || run->outputs[0].kind != NORMA_VALUE_TENSOR ||
      output->size_bytes != input->size_bytes) {
    fail_msg("%s cannot work in place here", call->op_type);
  }
  if (input->size_bytes) memcpy(output->data, input->data, input->size_bytes);
  *in_place = *call->inputs[index];
  in_place->owner = NULL;
  in_place->tensor.data = output->data;
  run->inputs[index] = in_place;
}

static void save_inputs(driver_run_state *run) {
  for (int i = 0; i < run->call->input_count; i++) {
    const value *input = run->call->inputs[i];
    if (!input || input->kind != NORMA_VALUE_TENSOR) continue;
    RUN_CHECK(run->saved[i] = memory_allocate(&run->driver->memory, input->tensor.size_bytes));
    if (input->tensor.size_bytes) memcpy(run->saved[i], input->tensor.data, input->tensor.size_bytes);
  }
}

static void check_inputs(const driver_run_state *run) {
  for (int i = 0; i < run->call->input_count; i++) {
    const norma_tensor *input = run->saved[i] ? &run->call->inputs[i]->tensor : NULL;
    if (input && input->size_bytes && memcmp(run->saved[i], input->data, input->size_bytes) != 0) {
      fail_msg("%s wrote to its input %d", run->call->op_type, i);
    }
  }
}

static void check_guards(const driver_run_state *run) {
  for (int i = 0; i < run->call->output_count; i++) {
    if (!run->guarded[i]) continue;
    size_t bytes = run->outputs[i].tensor.size_bytes;
    for (size_t b = 0; b < GUARD_BYTES; b++) {
      if ((unsigned char)run->guarded[i][b] != GUARD_FILL ||
          (unsigned char)run->guarded[i][GUARD_BYTES + bytes + b] != GUARD_FILL) {
        fail_msg("%s wrote outside output %d", run->call->op_type, i);
      }
    }
  }
}

/* Whether an output that was filled with GUARD_FILL, none in place, is so no more. */
static bool has_written(const driver_run_state *run) {
  for (int i = 0; i < run->call->output_count; i++) {
    if (!run->guarded[i] || (run->call->in_place && i == 0)) continue;
    const unsigned char *bytes = run->outputs[i].tensor.data;
    for (size_t b = 0; b < run->outputs[i].tensor.size_bytes; b++) {
      if (bytes[b] != GUARD_FILL) return true;
    }
  }
  return false;
}

static void keep_outputs(driver_run_state *run) {
  for (int i = 0; i < run->call->output_count; i++) {
    if (run->guarded[i]) {
      norma_error error;
      assert_int_equal(value_copy(&run->driver->memory, &run->driver->outputs[i], &run->outputs[i], &error), NORMA_OK);
    } else {
      run->driver->outputs[i] = run->outputs[i];
    }
  }
}

/* Of a container: its first element, without the shape, stands for all; of a map, its values do. */
static void describe_input(driver_run_state *run, int index) {
  const value *input = run->call->inputs[index];
  run->infos[index] = value_info_of(input);
  if (norma_value_count(input) == 0) return;
  run->items[index] = value_info_of(norma_value_element(input, input->kind == NORMA_VALUE_MAP ? 1 : 0));
  if (input->kind == NORMA_VALUE_MAP) run->infos[index].type = input->list->items[0].tensor.type;
  run->items[index].shape = shape_unknown();
  run->infos[index].item = &run->items[index];
}

static norma_status execute(driver_run_state *run) {
  const driver_call *call = run->call;
  value_info infos[DRIVER_MAX];
  value *outputs[DRIVER_MAX] = {NULL}, in_place;
  build_graph(run);
  TRY(resolve(run));
  for (int i = 0; i < call->input_count; i++) {
    run->inputs[i] = call->inputs[i];
    if (!call->inputs[i]) continue;
    describe_input(run, i);
    run->constants[i] = run->node->inputs[i]->constant;
  }
  TRY(infer_all(run, infos));
  place_outputs(run, infos, &in_place);
  save_inputs(run);
  for (int i = 0; i < call->output_count; i++) {
    if (!((call->absent_outputs | call->unwanted_outputs) >> i & 1)) outputs[i] = &run->outputs[i];
  }
  norma_status status = evaluate_node(&run->executor, run->node, run->inputs, run->constants, outputs,
                                      NORMA_ERROR_INPUT, &run->driver->error);
  check_inputs(run);
  check_guards(run);
  if (status != NORMA_OK) {
    run->driver->wrote = has_written(run);
    return status;
  }
  keep_outputs(run);
  for (int i = 0; i < call->output_count; i++) {
    if (run->node->outputs[i]) run->node->outputs[i]->info = infos[i];
  }
  if (call->inspect) call->inspect(run->node, call->inspect_argument);
  return NORMA_OK;
}

static thread_pool *enter_pool(driver *driver, int workers) {
  if (driver->pool_workers != workers) {
    thread_pool_destroy(driver->pool);
    assert_int_equal(thread_pool_create(&driver->memory, workers, &driver->pool, &driver->error), NORMA_OK);
    driver->pool_workers = workers;
  }
  assert_true(thread_pool_enter(driver->pool));
  return driver->pool;
}

static void keep_warning(void *context, norma_log_level level, const char *line) {
  driver *driver = context;
  (void)level;
  snprintf(driver->warning, sizeof driver->warning, "%s", line);
}

norma_status driver_run(driver *driver, const driver_call *call) {
  driver_run_state run = {.driver = driver, .call = call};
  keep_call(call);
  clear_outputs(driver);
  memset(&driver->error, 0, sizeof driver->error);
  driver->wrote = false;
  region_free(&driver->region);
  run.packed = packed_constants_create(&driver->memory);
  assert_non_null(run.packed);
  executor_init_serial(&run.executor, &driver->memory, call->kernels ? call->kernels : kernel_table_default(),
                       run.packed, false);
  if (call->workers > 1) {
    run.executor.pool = enter_pool(driver, call->workers);
    run.executor.workers = call->workers;
  }
  run.executor.log = keep_warning;
  run.executor.log_context = driver;
  driver->warning[0] = 0;
  atomic_bool cancelled = call->cancelled;
  run.executor.cancelled = &cancelled;
  norma_status status = execute(&run);
  if (call->workers > 1) thread_pool_leave(driver->pool);
  for (int i = 0; i < DRIVER_MAX; i++) {
    memory_free(&driver->memory, run.saved[i]);
    memory_free(&driver->memory, run.guarded[i]);
  }
  packed_constants_destroy(run.packed);
  if (run.graph) graph_release(run.graph);
  if (status != NORMA_OK && driver->error.message[0] == 0) fail_msg("%s failed without a message", call->op_type);
  return status;
}

/* ----------------------------------------------------------------------------------------------------------- values */

static value make_tensor(driver *driver, norma_element_type type, int rank, const int64_t *dims) {
  value made;
  norma_error error;
  shape shape = shape_make(rank, dims);
  if (value_allocate_tensor(&driver->memory, &made, type, &shape, &error) != NORMA_OK) fail_msg("%s", error.message);
  if (made.tensor.size_bytes) memset(made.tensor.data, 0, made.tensor.size_bytes);
  return made;
}

value driver_tensor(driver *driver, norma_element_type type, int rank, const int64_t *dims, const double *elements) {
  value made = make_tensor(driver, type, rank, dims);
  int64_t count = norma_tensor_count(&made.tensor);
  for (int64_t i = 0; elements && i < count; i++) element_set_double(type, made.tensor.data, i, elements[i]);
  return made;
}

value driver_floats(driver *driver, int rank, const int64_t *dims, const float *elements) {
  value made = make_tensor(driver, NORMA_FLOAT, rank, dims);
  if (elements && made.tensor.size_bytes) memcpy(made.tensor.data, elements, made.tensor.size_bytes);
  return made;
}

value driver_ints(driver *driver, int rank, const int64_t *dims, const int64_t *elements) {
  value made = make_tensor(driver, NORMA_INT64, rank, dims);
  if (elements && made.tensor.size_bytes) memcpy(made.tensor.data, elements, made.tensor.size_bytes);
  return made;
}

value driver_bools(driver *driver, int rank, const int64_t *dims, const bool *elements) {
  value made = make_tensor(driver, NORMA_BOOL, rank, dims);
  int64_t count = norma_tensor_count(&made.tensor);
  for (int64_t i = 0; elements && i < count; i++) ((uint8_t *)made.tensor.data)[i] = elements[i];
  return made;
}

value driver_strings(driver *driver, int rank, const int64_t *dims, const char *const *elements) {
  value made;
  norma_error error;
  shape shape = shape_make(rank, dims);
  int64_t count = shape_count(&shape);
  size_t bytes = 0;
  char *characters;
  for (int64_t i = 0; elements && i < count; i++) bytes += strlen(elements[i]);
  if (value_allocate_strings(&driver->memory, &made, &shape, bytes, &characters, &error) != NORMA_OK) {
    fail_msg("%s", error.message);
  }
  for (int64_t i = 0; elements && i < count; i++) {
    size_t size = strlen(elements[i]);
    memcpy(characters, elements[i], size);
    ((norma_string *)made.tensor.data)[i] = (norma_string){characters, size};
    characters += size;
  }
  return made;
}

value driver_list(driver *driver, norma_value_kind kind, int count, const value *const *elements) {
  value made;
  norma_error error;
  norma_status status = value_allocate_list(&driver->memory, &made, kind, count, &error);
  for (int i = 0; status == NORMA_OK && i < count; i++) {
    status = value_copy(&driver->memory, &made.list->items[i], elements[i], &error);
  }
  if (status != NORMA_OK) fail_msg("%s", error.message);
  return made;
}

double driver_element(const value *tensor, int64_t index) {
  return element_get_double(tensor->tensor.type, tensor->tensor.data, index);
}

void driver_assert_tensor(const value *tested, norma_element_type type, int rank, const int64_t *dims,
                          const double *elements) {
  if (tested->kind != NORMA_VALUE_TENSOR) fail_msg("expected a tensor, got kind %d", (int)tested->kind);
  if (tested->tensor.type != type) {
    fail_msg("expected %s, got %s", norma_element_type_name(type), norma_element_type_name(tested->tensor.type));
  }
  shape expected = shape_make(rank, dims), found = shape_of_tensor(&tested->tensor);
  if (!shape_equal(&expected, &found)) {
    char a[200], b[200];
    fail_msg("expected shape %s, got %s", shape_text(&expected, a, sizeof a), shape_text(&found, b, sizeof b));
  }
  int64_t count = norma_tensor_count(&tested->tensor);
  for (int64_t i = 0; elements && i < count; i++) {
    double wanted = elements[i], got = driver_element(tested, i);
    bool same = wanted != wanted ? got != got : memcmp(&wanted, &got, sizeof got) == 0;
    if (!same) fail_msg("element %" PRId64 ": expected %.17g, got %.17g", i, wanted, got);
  }
}

double driver_random(uint64_t *state, double low, double high) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return low + (high - low) * ((double)(*state >> 11) * 0x1p-53);
}
