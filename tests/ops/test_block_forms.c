/* facts.block: each operator that has a form in channel blocks takes it between two convolutions, and the model gives
 * what it gives in the plain layout, for channels that fill their blocks and channels that do not. */
#include "ops/operator.h"
#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define LARGEST_ERROR 2e-5 /* over the largest magnitude: Winograd included */

typedef struct block_sample {
  const char *op;
  int64_t opset;
  const char *inputs;  /* "a" is the first convolution; further ones are initializers of C elements, or "a2", another */
  const char *outputs; /* "b", and perhaps "c" */
  attribute attributes[4];
  int64_t channels, next; /* of a, and of what the second convolution reads */
  int64_t multiple;       /* of channels that the form needs; 0: any */
} block_sample;

static const int64_t twos[] = {2, 2}, threes[] = {3, 3}, ones[] = {1, 1, 1, 1}, pads[] = {0, 0, 1, 2, 0, 0, 1, 0},
                     spatial[] = {2, 3}, starts[] = {1, 2}, ends[] = {5, 9}, halves[] = {16, 16};
static const float scales[] = {1, 1, 2, 2};

#define INT_ATTRIBUTE(text, number)                                                                                    \
  { .name = text, .kind = ATTRIBUTE_INT, .i = number }
#define INTS_ATTRIBUTE(text, array)                                                                                    \
  { .name = text, .kind = ATTRIBUTE_INTS, .count = sizeof(array) / sizeof *(array), .ints = array }

static const block_sample samples[] = {
    {"MaxPool",
     12,
     "a",
     "b",
     {INTS_ATTRIBUTE("kernel_shape", threes), INTS_ATTRIBUTE("strides", twos), INTS_ATTRIBUTE("pads", ones)},
     16,
     16,
     0},
    {"AveragePool", 12, "a", "b", {INTS_ATTRIBUTE("kernel_shape", threes), INTS_ATTRIBUTE("pads", ones)}, 16, 16, 0},
    {"GlobalAveragePool", 12, "a", "b", {{0}}, 16, 16, 0},
    {"ReduceMean", 12, "a", "b", {INTS_ATTRIBUTE("axes", spatial)}, 16, 16, 0},
    {"BatchNormalization", 12, "a s t m v", "b", {{0}}, 16, 16, 0},
    {"InstanceNormalization", 12, "a s t", "b", {{0}}, 16, 16, 0},
    {"LRN", 12, "a", "b", {INT_ATTRIBUTE("size", 5)}, 16, 16, 0},
    {"Softmax", 13, "a", "b", {INT_ATTRIBUTE("axis", 1)}, 16, 16, 0},
    {"LogSoftmax", 13, "a", "b", {INT_ATTRIBUTE("axis", 1)}, 16, 16, 0},
    {"Concat", 12, "a a2", "b", {INT_ATTRIBUTE("axis", 1)}, 16, 32, 0},
    {"Slice",
     9,
     "a",
     "b",
     {INTS_ATTRIBUTE("starts", starts), INTS_ATTRIBUTE("ends", ends), INTS_ATTRIBUTE("axes", spatial)},
     16,
     16,
     0},
    {"Pad", 2, "a", "b", {INTS_ATTRIBUTE("pads", pads)}, 16, 16, 0},
    {"Split", 11, "a", "b c", {INT_ATTRIBUTE("axis", 1), INTS_ATTRIBUTE("split", halves)}, 32, 16, 16},
    {"Upsample", 7, "a", "b", {{.name = "scales", .kind = ATTRIBUTE_FLOATS, .count = 4, .floats = scales}}, 16, 16, 0},
    {"ConvTranspose", 12, "a wt", "b", {INTS_ATTRIBUTE("strides", twos)}, 16, 16, 0},
    {"Conv", 12, "a wc", "b", {INTS_ATTRIBUTE("pads", ones)}, 16, 16, 0},
    {"Resize", 13, "a - scales", "b", {{0}}, 16, 16, 0},
};

static void add_conv(model_builder *b, const char *x, const char *y, int64_t channels, int64_t outputs) {
  char weights[32], bias[32], inputs[80];
  snprintf(weights, sizeof weights, "w_%s", y);
  snprintf(bias, sizeof bias, "bias_%s", y);
  snprintf(inputs, sizeof inputs, "%s %s %s", x, weights, bias);
  add_random(b, weights, NORMA_FLOAT, 4, (int64_t[]){outputs, channels, 3, 3}, -0.3, 0.3);
  add_random(b, bias, NORMA_FLOAT, 1, &outputs, -1, 1);
  builder_ints(builder_node(b, "Conv", inputs, y), "pads", 4, ones);
}

static void add_attribute(node *node, const attribute *given) {
  if (given->kind == ATTRIBUTE_INT) builder_int(node, given->name, given->i);
  if (given->kind == ATTRIBUTE_INTS) builder_ints(node, given->name, given->count, given->ints);
  if (given->kind == ATTRIBUTE_FLOATS) builder_float_list(node, given->name, given->count, given->floats);
}

/* Whether the operator runs on blocks: as an inner one, or on five dimensions. */
static bool runs_on_blocks(const checked *checked, const char *op_type) {
  for (const node *node = checked->model->graph->first; node; node = node->next) {
    if (node->input_count == 0 || !node->inputs[0]) continue;
    const bool is_inner = strcmp(node->domain, OPERATOR_INNER_DOMAIN) == 0,
               is_pool = strcmp(op_type, "ReduceMean") == 0 && strcmp(node->op_type, "GlobalAveragePool") == 0;
    if (strcmp(node->op_type, op_type) != 0 && !is_pool) continue;
    if (is_inner || node->inputs[0]->info.shape.rank == 5) return true;
  }
  return false;
}

static void check_sample(const block_sample *sample, int64_t less) {
  const int64_t channels = sample->channels - less, next = sample->next - less * (sample->next / sample->channels);
  model_builder *b = builder_create(sample->opset);
  builder_input(b, "x", NORMA_FLOAT, 4, (int64_t[]){2, 5, 9, 10});
  add_conv(b, "x", "a", 5, channels);
  add_conv(b, "x", "a2", 5, channels);
  add_random(b, "s", NORMA_FLOAT, 1, &channels, -1, 1);
  add_random(b, "t", NORMA_FLOAT, 1, &channels, -1, 1);
  add_random(b, "m", NORMA_FLOAT, 1, &channels, -1, 1);
  add_random(b, "v", NORMA_FLOAT, 1, &channels, 0.5, 1);
  add_random(b, "wt", NORMA_FLOAT, 4, (int64_t[]){channels, channels, 2, 2}, -0.3, 0.3);
  add_random(b, "wc", NORMA_FLOAT, 4, (int64_t[]){channels, channels, 3, 3}, -0.3, 0.3);
  builder_floats(b, "scales", 1, (int64_t[]){4}, scales);
  node *tested = builder_node(b, sample->op, sample->inputs, sample->outputs);
  for (int i = 0; i < 4 && sample->attributes[i].name; i++) add_attribute(tested, &sample->attributes[i]);
  add_conv(b, "b", "y", next, 20);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "a2", NORMA_FLOAT, -1, NULL);
  if (strchr(sample->outputs, 'c')) {
    add_conv(b, "c", "z", next, 20);
    builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  }
  checked checked = check_passes(b, "block_layout", LARGEST_ERROR);
  if (less == 0 && !runs_on_blocks(&checked, sample->op)) fail_msg("%s does not run on blocks", sample->op);
  free_checked(&checked);
}

static void forms_give_the_same(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    check_sample(&samples[i], 0);
    if (!samples[i].multiple) check_sample(&samples[i], 1); /* of which a lane holds nothing */
    if (!samples[i].multiple) check_sample(&samples[i], 3);
  }
}

/* Those of quantised networks are in tests/engine/passes/test_block_layout_bytes.c. */
static bool is_quantized(const operator_descriptor *op) {
  return strstr(op->name, "QLinear") || strstr(op->name, "QuantizeLinear") || strcmp(op->name, "DequantizeLinear") == 0;
}

static void every_operator_with_a_form_has_a_sample(void **state) {
  const operator_descriptor *op;
  (void)state;
  for (size_t i = 0; (op = operator_at(i)); i++) {
    bool has_sample = false;
    for (size_t s = 0; s < sizeof samples / sizeof *samples; s++) has_sample |= strcmp(samples[s].op, op->name) == 0;
    /* Only means have a form among reductions, which share the fact. */
    if (*op->domain || !op->facts.block || strncmp(op->name, "Reduce", 6) == 0 || is_quantized(op)) continue;
    if (!has_sample) fail_msg("%s has no sample", op->name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forms_give_the_same),
      cmocka_unit_test(every_operator_with_a_form_has_a_sample),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
