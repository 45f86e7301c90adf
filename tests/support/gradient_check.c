#include "tests/support/gradient_check.h"

#include "tests/support/opened_model.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEP      1e-5
#define TOLERANCE 2e-7 /* the error of the differences */

void gradient_check_begin(gradient_check *check, int64_t opset) {
  *check = (gradient_check){.builder = builder_create(opset), .seed = 0x9E3779B97F4A7C15};
  builder_import(check->builder, "ai.onnx.preview.training", 1);
}

static int64_t variable_count(const gradient_check *check, int variable) {
  return dims_product(check->dims[variable], 0, check->ranks[variable]);
}

void gradient_check_variable(gradient_check *check, const char *name, int rank, const int64_t *dims, double low,
                             double high) {
  const int index = check->count++;
  assert_in_range(index, 0, GRADIENT_CHECK_MOST - 1);
  check->names[index] = name;
  check->ranks[index] = rank;
  if (rank) memcpy(check->dims[index], dims, (size_t)rank * sizeof *dims);
  value random = random_tensor(&check->seed, NORMA_DOUBLE, rank, dims);
  check->data[index] = tensor_doubles(&random);
  random_tensor_free(&random);
  const int64_t count = variable_count(check, index);
  for (int64_t i = 0; i < count; i++) check->data[index][i] = low + (high - low) * (check->data[index][i] + 1) / 2;
  builder_input(check->builder, name, NORMA_DOUBLE, rank, dims);
}

/* Words of a list separated by spaces, as an attribute. */
static void set_words(node *node, const char *name, const char *list) {
  char text[512];
  const char *words[32];
  size_t count = 0;
  snprintf(text, sizeof text, "%s", list);
  for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest)) && count < 32;) words[count++] = word;
  builder_string_list(node, name, count, words);
}

node *gradient_check_node(model_builder *builder, const char *xs, const char *zs, const char *y, const char *inputs,
                          const char *outputs) {
  node *node = builder_named_node(builder, "the gradient", "ai.onnx.preview.training", "Gradient", inputs, outputs);
  set_words(node, "xs", xs);
  if (*zs) set_words(node, "zs", zs);
  builder_string(node, "y", y);
  return node;
}

/* ---------------------------------------------------------------------------------------------------------- compare */

static void set_variables(const gradient_check *check, opened_model *opened) {
  for (int i = 0; i < check->count; i++) {
    opened_set(opened, check->names[i], NORMA_DOUBLE, check->ranks[i], check->dims[i], check->data[i]);
  }
}

static double run_sum(const gradient_check *check, opened_model *opened) {
  set_variables(check, opened);
  opened_run(opened);
  return *(const double *)opened_output(opened, 0)->data;
}

static double difference_of(const gradient_check *check, opened_model *opened, double *element) {
  const double kept = *element;
  *element = kept + STEP;
  const double above = run_sum(check, opened);
  *element = kept - STEP;
  const double below = run_sum(check, opened);
  *element = kept;
  return (above - below) / (2 * STEP);
}

static void compare_variable(const gradient_check *check, opened_model *opened, int variable, int level) {
  const int64_t count = variable_count(check, variable);
  const norma_tensor *output = opened_output(opened, 1 + (size_t)variable);
  assert_int_equal(output->type, NORMA_DOUBLE);
  assert_int_equal(output->rank, check->ranks[variable]);
  for (int i = 0; i < output->rank; i++) assert_int_equal(output->dims[i], check->dims[variable][i]);
  double *gradient = malloc((size_t)(count ? count : 1) * sizeof *gradient);
  assert_non_null(gradient);
  if (count) memcpy(gradient, output->data, (size_t)count * sizeof *gradient);
  for (int64_t i = 0; i < count; i++) {
    const double expected = difference_of(check, opened, &check->data[variable][i]);
    if (!(fabs(gradient[i] - expected) <= TOLERANCE * (fabs(expected) + 1))) {
      fail_msg("-O %d: element %lld of the gradient of %s is %.12g, differences say %.12g", level, (long long)i,
               check->names[variable], gradient[i], expected);
    }
  }
  free(gradient);
  run_sum(check, opened); /* outputs as they were */
}

/* `sum` is what is differentiated; it is an output of the model already. */
static void finish(gradient_check *check, const char *sum, const char *prefix) {
  char xs[256] = "", outputs[256] = "";
  for (int i = 0; i < check->count; i++) {
    snprintf(xs + strlen(xs), sizeof xs - strlen(xs), "%s ", check->names[i]);
    snprintf(outputs + strlen(outputs), sizeof outputs - strlen(outputs), "%s%s ", prefix, check->names[i]);
  }
  gradient_check_node(check->builder, xs, "", sum, xs, outputs);
  for (int i = 0; i < check->count; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, check->names[i]);
    builder_output(check->builder, name, NORMA_DOUBLE, -1, NULL);
  }
  FOR_EACH_LEVEL(level) {
    opened_model opened = opened_load(check->builder, tested_levels[level]);
    run_sum(check, &opened);
    for (int i = 0; i < check->count; i++) compare_variable(check, &opened, i, level);
    opened_free(&opened);
  }
  builder_destroy(check->builder);
  for (int i = 0; i < check->count; i++) free(check->data[i]);
}

static void add_sum(gradient_check *check, const char *y, const char *sines, const char *sum) {
  builder_node(check->builder, "Sin", y, sines);
  builder_int(builder_node(check->builder, "ReduceSum", sines, sum), "keepdims", 0);
}

void gradient_check_finish(gradient_check *check, const char *y) {
  add_sum(check, y, "its_sines", "its_sum");
  builder_output(check->builder, "its_sum", NORMA_DOUBLE, 0, NULL);
  finish(check, "its_sum", "d_");
}

void gradient_check_finish_twice(gradient_check *check, const char *y) {
  char xs[256] = "";
  for (int i = 0; i < check->count; i++) snprintf(xs + strlen(xs), sizeof xs - strlen(xs), "%s ", check->names[i]);
  add_sum(check, y, "first_sines", "first_sum");
  gradient_check_node(check->builder, xs, "", "first_sum", xs, "first_gradient");
  add_sum(check, "first_gradient", "its_sines", "its_sum");
  builder_output(check->builder, "its_sum", NORMA_DOUBLE, 0, NULL);
  finish(check, "its_sum", "d_");
}
