/*
 * What operators tell the optimiser about themselves must be true: each fact of each operator is held against what the
 * operator computes, on the small nodes of tests/support/operator_samples.c. Every operator that has a fact has a node
 * there that says it.
 */
#include "engine/execute/executor.h"
#include "engine/graph/query.h"
#include "tests/support/builtin_operator.h"
#include "tests/support/operator_samples.h"
#include "tests/support/random_tensor.h"

#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------------------------------ all samples */

typedef struct sample_run {
  workbench bench;
  const operator_sample *sample;
  const operator_descriptor *op;
  driver_call call;
  const value *y; /* output 0 */
  bool said;      /* the node told the fact */
} sample_run;

static void describe(const sample_run *run, char *text, size_t size) {
  int used = snprintf(text, size, "%s of opset %d", run->sample->op, (int)run->sample->opset);
  for (int i = 0; i < run->call.input_count; i++) {
    used += snprintf(text + used, size - (size_t)used, " %s", run->sample->inputs[i] ? run->sample->inputs[i] : "-");
  }
}

#define FAIL(run, ...)                                                                                                 \
  do {                                                                                                                 \
    char described[300], reason[1100];                                                                                 \
    describe(run, described, sizeof described);                                                                        \
    snprintf(reason, sizeof reason, __VA_ARGS__);                                                                      \
    fail_msg("%s: %s", described, reason);                                                                             \
  } while (0)

/* Runs each sample of an operator that has the fact, on every kernel table; `check` sees the node and sets said where
 * it told the fact. Each such operator must have a sample that does. */
static void check_samples(bool (*has_fact)(const operator_facts *facts), driver_inspect *check) {
  const operator_descriptor *op;
  const operator_sample *sample;
  for (size_t i = 0; (op = operator_at(i)); i++) {
    if (*op->domain || !has_fact(&op->facts)) continue;
    bool said = false;
    for (size_t s = 0; (sample = sample_at(s)); s++) {
      if (strcmp(sample->op, op->name) != 0) continue;
      sample_run run = {.sample = sample, .op = op};
      bench_init(&run.bench);
      for (int k = 0; (run.bench.kernels = driver_kernels(k)); k++) {
        run.call = sample_call(&run.bench, sample);
        driver_call call = run.call;
        bench_run_once(&run.bench, &call);
        run.y = bench_keep(&run.bench, 0);
        call.inspect = check;
        call.inspect_argument = &run;
        bench_run_once(&run.bench, &call);
        bench_clear(&run.bench);
      }
      said |= run.said;
      bench_finish(&run.bench);
    }
    if (!said) fail_msg("no sample of %s tells the fact", op->name);
  }
}

/* --------------------------------------------------------------------------------------------------------- identity */

static bool has_identity(const operator_facts *facts) {
  return facts->is_identity != NULL;
}

static void check_identity(const node *node, void *argument) {
  sample_run *run = argument;
  const bool is_identity = node->op->facts.is_identity(node);
  if (is_identity != run->sample->is_identity) FAIL(run, "is %s identity", is_identity ? "an" : "no");
  if (is_identity && !same_value(run->y, run->call.inputs[0]))
    FAIL(run, "says it is an identity, but changes its input");
  run->said |= is_identity;
}

static void identities_give_their_input(void **state) {
  (void)state;
  check_samples(has_identity, check_identity);
}

/* ------------------------------------------------------------------------------------------------------ elementwise */

static bool has_elementwise(const operator_facts *facts) {
  return facts->elementwise != NULL;
}

/* The elements of an input for each element of a shape that it is broadcast to. */
static float *broadcast_floats(const value *x, const shape *whole) {
  const shape own = shape_of_tensor(&x->tensor);
  const int64_t count = shape_count(whole);
  float *made = malloc((size_t)(count + 1) * sizeof *made);
  assert_non_null(made);
  for (int64_t i = 0; i < count; i++) made[i] = ((const float *)x->tensor.data)[broadcast_place(&own, whole, i)];
  return made;
}

static bool same_floats(const float *a, const float *b, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
  }
  return true;
}

/* By the kernels of the table that the form names. */
static void apply_form(const struct kernel_table *kernels, const elementwise_form *form, const driver_call *call,
                       const shape *whole, float *y) {
  const size_t count = (size_t)shape_count(whole);
  float *x = broadcast_floats(call->inputs[0], whole);
  memcpy(y, x, count * sizeof *y);
  if (form->kind == ELEMENTWISE_UNARY) kernels->unary_f32[form->unary.kind](y, x, count, form->unary.a, form->unary.b);
  for (int i = 1; i < call->input_count && form->kind != ELEMENTWISE_UNARY; i++) {
    float *z = broadcast_floats(call->inputs[i], whole);
    if (form->kind == ELEMENTWISE_BINARY)
      kernels->binary_f32[form->binary](y, y, z, count);
    else
      kernels->prelu_f32(y, y, z, count);
    free(z);
  }
  free(x);
}

/* An element of an input is seen by the elements of the output that it is broadcast to, and by no others. */
static void check_places(sample_run *run, const shape *whole) {
  for (int k = 0; k < run->call.input_count; k++) {
    const value *given = run->call.inputs[k];
    if (!given || (run->sample->constants >> k & 1)) continue;
    const shape own = shape_of_tensor(&given->tensor);
    const int64_t changed = shape_count(&own) / 2;
    value *other = bench_make(&run->bench, NORMA_FLOAT, own);
    memcpy(other->tensor.data, given->tensor.data, given->tensor.size_bytes);
    ((float *)other->tensor.data)[changed] += 1.5f;
    driver_call call = run->call;
    call.inputs[k] = other;
    struct driver apart;
    driver_init(&apart);
    call.kernels = run->bench.kernels;
    assert_int_equal(driver_run(&apart, &call), NORMA_OK);
    for (int64_t i = 0; i < shape_count(whole); i++) {
      const bool may_differ = broadcast_place(&own, whole, i) == changed;
      if (!may_differ && !same_element(&apart.outputs[0], i, run->y, i))
        FAIL(run, "element %d sees an element of input %d at another place", (int)i, k);
    }
    driver_finish(&apart);
  }
}

static void check_elementwise(const node *node, void *argument) {
  sample_run *run = argument;
  elementwise_form form = {.numpy = true};
  form.kind = ELEMENTWISE_OTHER;
  if (!node->op->facts.elementwise(node, &form)) return;
  run->said = true;
  const shape whole = shape_of_tensor(&run->y->tensor);
  if (run->y->tensor.type != NORMA_FLOAT || !form.numpy) return;
  shape broadcast = shape_of_tensor(&run->call.inputs[0]->tensor);
  for (int i = 1; i < run->call.input_count; i++) {
    const shape own = run->call.inputs[i] ? shape_of_tensor(&run->call.inputs[i]->tensor) : shape_make(0, NULL);
    if (!shape_broadcast(&broadcast, &own, &broadcast)) FAIL(run, "its inputs are not broadcast");
  }
  if (!shape_equal(&broadcast, &whole)) FAIL(run, "its output has another shape than its inputs together");
  check_places(run, &whole);
  if (form.kind == ELEMENTWISE_OTHER) return;
  float *y = malloc((size_t)(shape_count(&whole) + 1) * sizeof *y);
  apply_form(run->bench.kernels, &form, &run->call, &whole, y);
  if (!same_floats(y, run->y->tensor.data, shape_count(&whole))) FAIL(run, "the kernel that it names gives other bits");
  free(y);
}

/* UNARY, BINARY and PRELU are computed by the kernels of the table: to the bit. */
static void functions_are_those_of_kernels(void **state) {
  (void)state;
  check_samples(has_elementwise, check_elementwise);
}

/* ------------------------------------------------------------------------------------------------------- dimensions */

static bool has_dimension(const operator_facts *facts) {
  return facts->dimension != NULL;
}

/* Input `input` gets this shape and, where `tied`, every input of the same shape with it. */
static bool output_shape_with(sample_run *run, int input, const shape *given, bool tied, shape *output) {
  const shape own = shape_of_tensor(&run->call.inputs[input]->tensor);
  driver_call call = run->call;
  struct driver driver;
  driver_init(&driver);
  driver.memory.limit = 1 << 24;
  for (int i = 0; i < call.input_count; i++) {
    const value *before = run->call.inputs[i];
    if (!before) continue;
    const shape shape = shape_of_tensor(&before->tensor);
    if (i == input || (tied && shape_equal(&shape, &own)))
      call.inputs[i] = bench_random(&run->bench, before->tensor.type, *given, 0.5, 1);
  }
  call.kernels = run->bench.kernels;
  const bool runs = driver_run(&driver, &call) == NORMA_OK;
  if (runs) *output = shape_of_tensor(&driver.outputs[0].tensor);
  driver_finish(&driver);
  return runs;
}

/* The shape of output 0 where input `input` has this shape; false where the node does not take it. */
static bool output_shape_of(sample_run *run, int input, const shape *given, shape *output) {
  return output_shape_with(run, input, given, false, output) || output_shape_with(run, input, given, true, output);
}

static void check_dimension(const node *node, void *argument) {
  sample_run *run = argument;
  const int rank = run->y->tensor.rank;
  for (int axis = 0; axis < rank; axis++) {
    dimension_source source = {.input = 0, .axis = -1};
    if (!node->op->facts.dimension(node, 0, axis, &source)) continue;
    int sizes = 0;
    assert_true(source.input < run->call.input_count && source.stride >= 1);
    shape given = shape_of_tensor(&run->call.inputs[source.input]->tensor), output;
    assert_true(source.axis >= 0 && source.axis < given.rank);
    const int64_t own = given.dims[source.axis];
    for (int64_t size = 1; size < 16; size++) {
      given.dims[source.axis] = size;
      if (!output_shape_of(run, source.input, &given, &output)) continue;
      const int64_t expected = (size + source.offset) / source.stride;
      if (output.dims[axis] != expected)
        FAIL(run, "dimension %d is %d for size %d, not %d", axis, (int)output.dims[axis], (int)size, (int)expected);
      sizes += size != own;
    }
    run->said |= sizes > 5; /* sizes of channels are tied to those of parameters */
  }
}

static void dimensions_are_those_of_inputs(void **state) {
  (void)state;
  check_samples(has_dimension, check_dimension);
}

/* ----------------------------------------------------------------------------------------------------------- affine */

static bool has_affine(const operator_facts *facts) {
  return facts->affine != NULL;
}

static void check_affine(const node *node, void *argument) {
  sample_run *run = argument;
  affine_form form = {0};
  if (!node->op->facts.affine(node, &form)) return;
  run->said = true;
  const value *x = run->call.inputs[form.input];
  const shape shape = shape_of_tensor(&x->tensor), found = shape_of_tensor(&run->y->tensor);
  if (!shape_equal(&shape, &found)) FAIL(run, "its output has another shape");
  if ((form.axis < 0) != (form.count == 1) && !(form.axis >= 0 && shape.dims[form.axis] == form.count))
    FAIL(run, "its axis has not %d elements", (int)form.count);
  for (int64_t i = 0; i < shape_count(&shape); i++) {
    int64_t at[NORMA_MAX_RANK];
    double scale, shift;
    shape_coordinates(&shape, i, at);
    form.at(&form, form.axis < 0 ? 0 : at[form.axis], &scale, &shift);
    const double expected = driver_element(x, i) * scale + shift, got = driver_element(run->y, i);
    if (!(fabs(got - expected) <= 4e-6 * (fabs(driver_element(x, i) * scale) + fabs(shift) + 1)))
      FAIL(run, "element %d is %g, not %g", (int)i, got, expected);
  }
}

static void affine_functions(void **state) {
  (void)state;
  check_samples(has_affine, check_affine);
}

/* ----------------------------------------------------------------------------------------------------------- linear */

static bool has_linear(const operator_facts *facts) {
  return facts->linear != NULL;
}

/* Runs with other inputs; the output is of the run's bench. */
static const value *run_with(sample_run *run, const driver_call *call) {
  struct driver driver;
  driver_call copy = *call;

  driver_init(&driver);
  copy.kernels = run->bench.kernels;
  copy.inspect = NULL;
  if (driver_run(&driver, &copy) != NORMA_OK) FAIL(run, "%s", driver.error.message);
  value *made = bench_make(&run->bench, driver.outputs[0].tensor.type, shape_of_tensor(&driver.outputs[0].tensor));
  memcpy(made->tensor.data, driver.outputs[0].tensor.data, made->tensor.size_bytes);
  driver_finish(&driver);

  return made;
}

static value *copy_of(sample_run *run, const value *x) {
  value *copy = bench_make(&run->bench, x->tensor.type, shape_of_tensor(&x->tensor));
  memcpy(copy->tensor.data, x->tensor.data, x->tensor.size_bytes);
  return copy;
}

/* Element i times `factor`, a power of two. */
static void scale_element(const value *x, int64_t i, double factor) {
  element_set_double(x->tensor.type, x->tensor.data, i, driver_element(x, i) * factor);
}

static int64_t coordinate(const value *x, int64_t index, int axis) {
  const shape shape = shape_of_tensor(&x->tensor);
  int64_t at[NORMA_MAX_RANK];
  shape_coordinates(&shape, index, at);
  return at[axis];
}

/* The output channel that an element of the weights belongs to, and its input channel. */
static void channels_of_weight(const linear_form *form, int64_t index, int64_t *output, int64_t *input) {
  const int64_t second = index / form->inner % form->second, first = index / form->inner / form->second % form->first;
  const int64_t group = index / form->inner / form->second / form->first;
  const int64_t outputs = form->output_first ? form->first : form->second,
                inputs = form->output_first ? form->second : form->first;
  *output = group * outputs + (form->output_first ? first : second);
  *input = group * inputs + (form->output_first ? second : first);
}

/* Weights of output channel c doubled: that channel is doubled to the bit, without its bias, and no other changes. */
static void check_output_channels(sample_run *run, const linear_form *form, const driver_call *plain, const value *y) {
  const value *w = plain->inputs[form->weights];
  const int64_t c = y->tensor.dims[form->output_axis] / 2;
  value *scaled = copy_of(run, w);
  for (int64_t i = 0; i < norma_tensor_count(&w->tensor); i++) {
    int64_t output, input;
    channels_of_weight(form, i, &output, &input);
    if (output == c) scale_element(scaled, i, 2);
  }
  driver_call call = *plain;
  call.inputs[form->weights] = scaled;
  const value *other = run_with(run, &call);
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const double expected = driver_element(y, i) * (coordinate(y, i, form->output_axis) == c ? 2 : 1);
    if (driver_element(other, i) != expected) FAIL(run, "output channel %d is not that of its weights", (int)c);
  }
}

/* Weights of input channel c doubled are as that channel of the input doubled. */
static void check_input_channels(sample_run *run, const linear_form *form, const driver_call *plain, const value *y) {
  const value *w = plain->inputs[form->weights], *x = plain->inputs[0];
  const int64_t c = x->tensor.dims[form->input_axis] / 2;
  value *scaled_w = copy_of(run, w), *scaled_x = copy_of(run, x);
  for (int64_t i = 0; i < norma_tensor_count(&w->tensor); i++) {
    int64_t output, input;
    channels_of_weight(form, i, &output, &input);
    if (input == c) scale_element(scaled_w, i, 2);
  }
  for (int64_t i = 0; i < norma_tensor_count(&x->tensor); i++) {
    if (coordinate(x, i, form->input_axis) == c) scale_element(scaled_x, i, 2);
  }
  driver_call by_weights = *plain, by_input = *plain;
  by_weights.inputs[form->weights] = scaled_w;
  by_input.inputs[0] = scaled_x;
  const value *a = run_with(run, &by_weights), *b = run_with(run, &by_input);
  if (!same_value(a, b) || same_value(a, y)) FAIL(run, "input channel %d is not that of its weights", (int)c);
}

/* Without borders the same number added to all of an input channel adds the same to all of an output channel. */
static void check_borders(sample_run *run, const linear_form *form, const driver_call *plain, const value *y) {
  const value *x = plain->inputs[0];
  value *shifted = copy_of(run, x);
  double added[64];
  bool seen[64] = {false};
  for (int64_t i = 0; i < norma_tensor_count(&x->tensor); i++)
    element_set_double(x->tensor.type, shifted->tensor.data, i, driver_element(x, i) + 1);
  driver_call call = *plain;
  call.inputs[0] = shifted;
  const value *other = run_with(run, &call);
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const int64_t c = coordinate(y, i, form->output_axis);
    const double difference = driver_element(other, i) - driver_element(y, i);
    if (!seen[c]) added[c] = difference;
    seen[c] = true;
    if (fabs(difference - added[c]) > 1e-2) FAIL(run, "output channel %d has borders", (int)c);
  }
}

/* alpha and beta; a bias of one element for each output channel, of one for all; the operator that takes one. */
static void check_bias(sample_run *run, const linear_form *form, const driver_call *plain, const value *y) {
  const int64_t channels = y->tensor.dims[form->output_axis];
  if (!form->takes_bias) return;
  for (int single = 0; single < 2; single++) {
    if (single && !form->repeats_bias) continue;
    driver_call call = *plain;
    const value *bias = bench_random(&run->bench, y->tensor.type, SHAPE(single ? 1 : channels), -1, 1);
    call.inputs[form->bias] = bias;
    call.input_count = form->bias + 1;
    if (form->biased) call.op_type = form->biased;
    int count = 0;
    while (call.attributes[count].name) count++;
    const int version = operator_version(builtin_operator("", call.op_type), call.opset);
    for (const bias_setting *s = form->settings; s && s->name; s++) { /* what the node must have for it */
      if (s->until != OPERATOR_LATEST && version > s->until) continue;
      int at = 0;
      while (at < count && strcmp(call.attributes[at].name, s->name) != 0) at++;
      call.attributes[at] = s->kind == ATTRIBUTE_INT ? (attribute)DRIVER_INT(s->name, (int64_t)s->value)
                                                     : (attribute)DRIVER_FLOAT(s->name, (float)s->value);
      count += at == count;
    }
    const value *biased = run_with(run, &call);
    for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
      const double added = driver_element(bias, single ? 0 : coordinate(y, i, form->output_axis)),
                   expected = driver_element(y, i) + added;
      if (fabs(driver_element(biased, i) - expected) > 1e-2)
        FAIL(run, "element %d with a bias is %g, not %g", (int)i, driver_element(biased, i), expected);
    }
  }
}

static void check_linear(const node *node, void *argument) {
  sample_run *run = argument;
  linear_form form = {.alpha = 1, .beta = 1};
  if (!node->op->facts.linear(node, &form)) return;
  run->said = true;
  const value *w = run->call.inputs[form.weights];
  assert_int_equal(form.groups * form.first * form.second * form.inner, norma_tensor_count(&w->tensor));
  driver_call plain = run->call; /* without its bias */
  if (form.bias < plain.input_count) {
    plain.inputs[form.bias] = NULL;
    plain.input_count = form.bias;
    plain.constants &= INPUT(form.bias) - 1;
  }
  const value *y = run_with(run, &plain);
  check_output_channels(run, &form, &plain, y);
  check_input_channels(run, &form, &plain, y);
  if (!form.has_borders) check_borders(run, &form, &plain, y);
  check_bias(run, &form, &plain, y);
  const value *bias = run->call.input_count > form.bias ? run->call.inputs[form.bias] : NULL;
  for (int64_t i = 0; bias && i < norma_tensor_count(&y->tensor); i++) { /* beta times the bias */
    const double expected = driver_element(y, i) + form.beta * driver_element(bias, coordinate(y, i, form.output_axis));
    if (fabs(driver_element(run->y, i) - expected) > 1e-4 * (fabs(expected) + 1))
      FAIL(run, "element %d is %g, not %g", (int)i, driver_element(run->y, i), expected);
  }
  if (form.is_window) return;
  double sum = 0; /* alpha times the weights: of the first element */
  const int64_t inputs = run->call.inputs[0]->tensor.dims[form.input_axis];
  for (int64_t i = 0; i < norma_tensor_count(&w->tensor); i++) {
    int64_t output, input;
    channels_of_weight(&form, i, &output, &input);
    if (output == 0 && input < inputs) sum += driver_element(w, i) * driver_element(run->call.inputs[0], input);
  }
  if (fabs(form.alpha * sum - driver_element(y, 0)) > 1e-2) FAIL(run, "its first element is not alpha times a sum");
}

static void linear_functions(void **state) {
  (void)state;
  check_samples(has_linear, check_linear);
}

/* ------------------------------------------------------------------------------------------------------- statistics */

static bool has_statistics(const operator_facts *facts) {
  return facts->statistics != NULL;
}

static void check_statistics(const node *node, void *argument) {
  sample_run *run = argument;
  statistics_form form;
  if (!node->op->facts.statistics(node, &form)) return;
  run->said = true;
  assert_false(form.trains); /* nothing among the samples does */
  const value *const *in = run->call.inputs;
  for (int64_t i = 0; i < norma_tensor_count(&run->y->tensor); i++) {
    const int64_t c = coordinate(run->y, i, 1);
    const double deviation = driver_element(in[0], i) - driver_element(in[form.mean], c),
                 spread = sqrt(driver_element(in[form.variance], c) + form.epsilon);
    const double expected = deviation / spread * driver_element(in[form.scale], c) + driver_element(in[form.bias], c);
    if (fabs(driver_element(run->y, i) - expected) > 1e-5 * (fabs(expected) + 1))
      FAIL(run, "element %d is not normalised by these inputs", (int)i);
  }
}

static void statistics_among_inputs(void **state) {
  (void)state;
  check_samples(has_statistics, check_statistics);
}

/* ---------------------------------------------------------------------------------------------------------- packing */

static bool has_packs(const operator_facts *facts) {
  return facts->packs != 0;
}

/* One plan and run of the node as the engine makes them, with constants behind `packed`. */
typedef struct plan_of_one {
  memory memory;
  packed_constants *packed;
  executor executor;
  norma_error error;
} plan_of_one;

static uint32_t run_plan(sample_run *run, const node *node, plan_of_one *plan, uint32_t gone, value *y) {
  value contents[SAMPLE_MOST_INPUTS];
  value_info infos[SAMPLE_MOST_INPUTS];
  const value *inputs[SAMPLE_MOST_INPUTS] = {NULL}, *constants[SAMPLE_MOST_INPUTS] = {NULL};
  const value_info *known[SAMPLE_MOST_INPUTS] = {NULL}, output = value_info_of(run->y), *outputs[] = {&output};
  for (int i = 0; i < node->input_count; i++) {
    if (!run->call.inputs[i]) continue;
    contents[i] = *run->call.inputs[i];
    if (gone >> i & 1) contents[i].tensor.data = NULL; /* read no more, it was given back */
    infos[i] = value_info_of(&contents[i]);
    known[i] = &infos[i];
    inputs[i] = &contents[i];
    if (run->call.constants >> i & 1) constants[i] = &contents[i];
  }
  void *plan_state = calloc(1, node->op->state_size + 1);
  memcpy(plan_state, node->state, node->op->state_size);
  prepare_context prepare =
      executor_prepare_context(&plan->executor, node, plan_state, known, constants, outputs, &plan->error);
  if (node->op->prepare(&prepare) != NORMA_OK) FAIL(run, "%s", plan->error.message);
  assert_int_equal(executor_check_scratch(&plan->executor, &prepare), NORMA_OK);
  void *scratch = memory_allocate(&plan->memory, prepare.scratch_bytes + 1),
       *worker_scratch = memory_allocate(&plan->memory, prepare.worker_scratch_bytes + 1);
  value *results[] = {y};
  run_context context = {.node = node,
                         .state = plan_state,
                         .input_count = node->input_count,
                         .output_count = 1,
                         .inputs = inputs,
                         .outputs = results,
                         .scratch = scratch,
                         .worker_scratch = worker_scratch,
                         .worker_scratch_stride = prepare.worker_scratch_bytes,
                         .kernels = plan->executor.kernels,
                         .executor = &plan->executor,
                         .error = &plan->error};
  for (int i = 0; i < node->input_count; i++) { /* and compute must not need it */
    if (prepare.packed_inputs >> i & 1) contents[i].tensor.data = NULL;
  }
  if (node->op->compute(&context) != NORMA_OK) FAIL(run, "%s", plan->error.message);
  run_free_temporaries(&context);
  memory_free(&plan->memory, scratch);
  memory_free(&plan->memory, worker_scratch);
  free(plan_state);
  return prepare.packed_inputs;
}

/* Only constants among facts.packs are packed; of those that prepare says it has packed, compute needs nothing more,
 * and neither does a second plan. (A kernel may take weights as they are.) */
static void check_packs(const node *node, void *argument) {
  sample_run *run = argument;
  const operator_facts *facts = &node->op->facts;
  const uint32_t packable = facts->packs & run->call.constants;
  plan_of_one plan;
  memory_init(&plan.memory, NULL, 0);
  plan.packed = packed_constants_create(&plan.memory);
  executor_init_serial(&plan.executor, &plan.memory, run->bench.kernels, plan.packed, false);
  value *first = copy_of(run, run->y), *second = copy_of(run, run->y);
  memset(first->tensor.data, 0xA5, first->tensor.size_bytes);
  memset(second->tensor.data, 0xA5, second->tensor.size_bytes);
  const uint32_t packed = run_plan(run, node, &plan, 0, first);
  const size_t bytes = packed_constants_bytes(plan.packed);
  if (packed & ~packable) FAIL(run, "inputs %x are packed, of which facts say %x", packed, packable);
  if ((bytes > 0 && !packable) || (packed && !bytes)) FAIL(run, "%zu bytes are kept of inputs %x", bytes, packed);
  run_plan(run, node, &plan, packed, second);
  assert_int_equal(packed_constants_bytes(plan.packed), bytes); /* each is packed once */
  if (!same_value(first, run->y) || !same_value(second, run->y)) FAIL(run, "packing changes the result");
  packed_constants_destroy(plan.packed);
  assert_int_equal(atomic_load(&plan.memory.used), 0);
  run->said |= packed != 0 || bytes > 0;
}

static void constants_are_packed_once(void **state) {
  (void)state;
  check_samples(has_packs, check_packs);
}

/* ----------------------------------------------------------------------------------------------------- fused stores */

static bool has_store(const operator_facts *facts) {
  return facts->store.bias || facts->store.residual || facts->store.activation;
}

static const struct activation activations[] = {{UNARY_RELU, 0, 0},           {UNARY_CLIP, -0.5f, 0.75f},
                                                {UNARY_LEAKY_RELU, 0.25f, 0}, {UNARY_SIGMOID, 0, 0},
                                                {UNARY_SQUARE, 0, 0},         {UNARY_ERF, 0, 0}};

/* The node with a residual or bias as its next input behind those that the operator knows. */
static driver_call fused_call(const sample_run *run, const value *bias, const value *residual) {
  driver_call call = run->call;
  call.inspect = NULL;
  if (!bias && !residual) return call;
  call.input_count = run->op->max_inputs;
  if (bias) {
    call.bias_input = call.input_count;
    call.inputs[call.input_count++] = bias;
  }
  if (residual) {
    call.residual_input = call.input_count;
    call.inputs[call.input_count++] = residual;
  }
  return call;
}

static void check_store(const node *node, void *argument) {
  sample_run *run = argument;
  const store_fusion *store = &node->op->facts.store;
  const norma_element_type type = run->y->tensor.type;
  const shape shape = shape_of_tensor(&run->y->tensor);
  const int64_t count = shape_count(&shape);
  if (!((store->bias | store->residual | store->activation) & TYPE_BIT(type))) return;
  run->said = true;
  for (int with = 0; with < 4; with++) {
    if (((with & 1) && !(store->bias & TYPE_BIT(type))) || ((with & 2) && !(store->residual & TYPE_BIT(type))))
      continue;
    const value *bias = with & 1 ? bench_random(&run->bench, type, SHAPE(shape.dims[shape.rank - 1]), -1, 1) : NULL;
    const value *residual = with & 2 ? bench_random(&run->bench, type, shape, -1, 1) : NULL;
    for (size_t a = 0; a <= COUNT(activations); a++) {
      const bool activates = a < COUNT(activations);
      if (activates && !(store->activation & TYPE_BIT(type))) continue;
      driver_call call = fused_call(run, bias, residual);
      if (activates) call.activation = activations[a];
      const value *y = run_with(run, &call);
      float *expected = malloc((size_t)(count + 1) * sizeof *expected);
      for (int64_t i = 0; i < count; i++) {
        expected[i] =
            (float)(driver_element(run->y, i) + (bias ? driver_element(bias, i % shape.dims[shape.rank - 1]) : 0) +
                    (residual ? driver_element(residual, i) : 0));
      }
      if (activates)
        run->bench.kernels->unary_f32[activations[a].kind](expected, expected, (size_t)count, activations[a].a,
                                                           activations[a].b);
      for (int64_t i = 0; i < count; i++) {
        if (fabs(driver_element(y, i) - (double)expected[i]) > 2e-5 * (fabs((double)expected[i]) + 1)) {
          FAIL(run, "with%s%s and activation %d element %d is %g, not %g", bias ? " bias" : "",
               residual ? " residual" : "", activates ? (int)activations[a].kind : 0, (int)i, driver_element(y, i),
               (double)expected[i]);
        }
      }
      free(expected);
    }
  }
}

static void stores_take_over_what_follows(void **state) {
  (void)state;
  check_samples(has_store, check_store);
}

/* ----------------------------------------------------------------------------------------------- helpers of facts.c */

static void facts_of_many_operators(void **state) {
  memory memory;
  region region;
  dimension_source source;
  (void)state;
  memory_init(&memory, NULL, 0);
  region_init(&region, &memory);
  graph *graph = graph_create(&region, &memory, "g", NULL, NULL);
  node *node = graph_add_node(graph, "n", "Reshape", "", 1, 1, 0);
  graph_value *x = graph_add_value(graph, "x"), *y = graph_add_value(graph, "y");
  node_set_input(node, 0, x);
  node_set_output(node, 0, y);
  assert_false(fact_keeps_shape(node)); /* nothing is known */
  const shape known = SHAPE(2, 3), open = SHAPE(2, DIM_UNKNOWN), other = SHAPE(3, 2);
  x->info = value_info_tensor(NORMA_FLOAT, &known);
  y->info = value_info_tensor(NORMA_FLOAT, &open);
  assert_false(fact_keeps_shape(node));
  y->info.shape = other;
  assert_false(fact_keeps_shape(node));
  y->info.shape = known;
  assert_true(fact_keeps_shape(node));
  x->info.shape = y->info.shape = open; /* the same unknown size may be two */
  assert_false(fact_keeps_shape(node));
  assert_true(fact_has_one_input(node));
  assert_true(fact_dimension_same(node, 0, 1, &source) && source.input == 0 && source.axis == 1 && source.offset == 0 &&
              source.stride == 1);
  assert_true(fact_dimension_batch(node, 0, 0, &source) && source.axis == 0);
  assert_false(fact_dimension_batch(node, 0, 1, &source));
  graph_release(graph);
  region_free(&region);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(identities_give_their_input),
      cmocka_unit_test(functions_are_those_of_kernels),
      cmocka_unit_test(dimensions_are_those_of_inputs),
      cmocka_unit_test(affine_functions),
      cmocka_unit_test(linear_functions),
      cmocka_unit_test(statistics_among_inputs),
      cmocka_unit_test(constants_are_packed_once),
      cmocka_unit_test(stores_take_over_what_follows),
      cmocka_unit_test(facts_of_many_operators),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
