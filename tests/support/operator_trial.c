#include "tests/support/operator_trial.h"

#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void trial_begin(trial *trial, const char *domain, const char *op_type, int64_t opset) {
  memset(trial, 0, sizeof *trial);
  driver_init(&trial->driver);
  trial->seed = 1;
  trial->call.domain = domain;
  trial->call.op_type = op_type;
  trial->call.opset = opset;
}

void trial_end(trial *trial) {
  for (int i = 0; i < trial->call.input_count; i++) {
    if (trial->call.inputs[i]) random_tensor_free(&trial->inputs[i]);
    free(trial->numbers[i]);
  }
  driver_finish(&trial->driver);
}

static void trial_append(trial *trial, value made) {
  int index = trial->call.input_count++;
  trial->inputs[index] = made;
  trial->call.inputs[index] = &trial->inputs[index];
  trial->numbers[index] = tensor_doubles(&trial->inputs[index]);
}

void trial_random(trial *trial, norma_element_type type, int rank, const int64_t *dims) {
  trial_append(trial, random_tensor(&trial->seed, type, rank, dims));
}

void trial_numbers(trial *trial, norma_element_type type, int rank, const int64_t *dims, const double *elements) {
  value made = random_tensor(&trial->seed, type, rank, dims);
  for (int64_t i = 0; i < norma_tensor_count(&made.tensor); i++)
    element_set_double(type, made.tensor.data, i, elements[i]);
  trial_append(trial, made);
}

void trial_absent(trial *trial) {
  trial->call.input_count++;
}

void trial_attribute(trial *trial, attribute added) {
  int i = 0;
  while (trial->call.attributes[i].name && strcmp(trial->call.attributes[i].name, added.name) != 0) i++;
  trial->call.attributes[i] = added;
}

void trial_scale(trial *trial, double factor) {
  int index = trial->call.input_count - 1;
  norma_tensor *tensor = &trial->inputs[index].tensor;
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++)
    element_set_double(tensor->type, tensor->data, i, trial->numbers[index][i] * factor);
  free(trial->numbers[index]);
  trial->numbers[index] = tensor_doubles(&trial->inputs[index]);
}

void trial_run(trial *trial, int outputs) {
  static const int workers[] = {1, 2, 3, 7};
  driver again;
  driver_init(&again);
  trial->call.output_count = outputs;
  for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
    struct driver *driver = i == 0 ? &trial->driver : &again;
    trial->call.workers = workers[i];
    if (driver_run(driver, &trial->call) != NORMA_OK) fail_msg("%s", driver->error.message);
    for (int k = 0; k < outputs && i > 0; k++) {
      const value *first = &trial->driver.outputs[k], *now = &again.outputs[k];
      if (first->kind == NORMA_VALUE_TENSOR && !same_tensor(&first->tensor, &now->tensor))
        fail_msg("%s: output %d differs with %d workers", trial->call.op_type, k, workers[i]);
    }
  }
  driver_finish(&again);
}

void trial_expect_refusal(trial *trial, int outputs, const char *what) {
  trial->call.output_count = outputs;
  norma_status status = driver_run(&trial->driver, &trial->call);
  if (status == NORMA_OK || status == NORMA_ERROR_INTERNAL)
    fail_msg("%s: %s was not refused", trial->call.op_type, what);
}

double trial_output(const trial *trial, int output, int64_t index) {
  return driver_element(&trial->driver.outputs[output], index);
}

void trial_expect(const trial *trial, int output, int64_t index, double expected, double error) {
  double got = trial_output(trial, output, index);
  double allowed = error + rounding_error(trial->driver.outputs[output].tensor.type) * fabs(expected);
  if (isnan(expected) ? isnan(got) : got == expected || fabs(got - expected) <= allowed) return;
  fail_msg("%s %s: output %d element %d is %.9g, expected %.9g", trial->call.op_type,
           norma_element_type_name(trial->driver.outputs[output].tensor.type), output, (int)index, got, expected);
}

void trial_expect_shape(const trial *trial, int output, norma_element_type type, int rank, const int64_t *dims) {
  const norma_tensor *tensor = &trial->driver.outputs[output].tensor;
  assert_int_equal(tensor->type, type);
  assert_int_equal(tensor->rank, rank);
  for (int i = 0; i < rank; i++) assert_int_equal(tensor->dims[i], dims[i]);
}
