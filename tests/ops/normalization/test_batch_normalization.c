/* BatchNormalization against its formula in double precision, over all versions, modes, types, ranks and layouts, and
 * what it must refuse. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_RANK 6

/* What a case is made of; the rest follows from it. */
typedef struct bn_case {
  int opset;
  bool training;
  bool per_feature;                         /* spatial = 0 */
  bool flat;                                /* per_feature: vectors of rank 1 */
  norma_element_type x, affine, statistics; /* T, T1, T2 */
  int rank;
  int64_t dims[MAX_RANK];
  uint32_t constants;
  bool shared;              /* one value is scale, bias, mean and variance */
  double epsilon, momentum; /* below 0: not given */
  double offset;            /* of the elements of X */
  uint32_t absent_outputs, unwanted_outputs;
  bool in_place;
  struct activation activation;
} bn_case;

/* Inputs of a case and what must come out. */
typedef struct bn_problem {
  const bn_case *of;
  int64_t count, features, outer, inner; /* X as outer x features x inner */
  int vector_rank;
  int64_t vector_dims[MAX_RANK];
  value inputs[5];       /* X, scale, bias, mean, variance */
  double *y, *error;     /* expected, and the bound on what may be off */
  double *statistics[4]; /* running mean and variance, the batch's own */
} bn_problem;

static bool has_type_bfloat16(int opset) {
  return opset >= 14;
}

/* -------------------------------------------------------------------------------------------------------- reference */

static double channel_sum(const bn_problem *problem, int64_t feature, double mean, int power) {
  long double sum = 0;
  for (int64_t n = 0; n < problem->outer; n++) {
    for (int64_t i = 0; i < problem->inner; i++) {
      double x = driver_element(&problem->inputs[0], (n * problem->features + feature) * problem->inner + i);
      sum += power == 1 ? x : (x - mean) * (x - mean);
    }
  }
  return (double)sum;
}

/* Half the distance between neighbours of the type, relative to the value. */
static double unit(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT16:
    return 0x1p-11;
  case NORMA_BFLOAT16:
    return 0x1p-8;
  case NORMA_FLOAT:
    return 0x1p-24;
  default:
    return 0x1p-53;
  }
}

static double smallest(norma_element_type type) {
  return type == NORMA_FLOAT16 ? 0x1p-25 : type == NORMA_DOUBLE ? 0 : type == NORMA_FLOAT ? 0x1p-149 : 0x1p-134;
}

static void reference(bn_problem *problem) {
  const bn_case *of = problem->of;
  double epsilon = of->epsilon < 0 ? (double)1e-5f : (double)(float)of->epsilon;
  double momentum = of->momentum < 0 ? (double)0.9f : (double)(float)of->momentum;
  double elements = (double)problem->outer * (double)problem->inner;
  /* In float the product, the shift and the sum are rounded, and two constants. In inference the mean is part of the
   * shift; in training it is subtracted first, and however large it is, its size must not show. */
  bool in_float = of->x != NORMA_DOUBLE;
  for (int64_t f = 0; f < problem->features; f++) {
    double scale = driver_element(&problem->inputs[1], f), bias = driver_element(&problem->inputs[2], f);
    double mean = driver_element(&problem->inputs[3], f), variance = driver_element(&problem->inputs[4], f);
    double batch_mean = channel_sum(problem, f, 0, 1) / elements;
    double batch_variance = channel_sum(problem, f, batch_mean, 2) / elements;
    problem->statistics[0][f] = elements > 0 ? mean * momentum + batch_mean * (1 - momentum) : mean;
    problem->statistics[1][f] = elements > 0 ? variance * momentum + batch_variance * (1 - momentum) : variance;
    problem->statistics[2][f] = batch_mean;
    problem->statistics[3][f] = batch_variance;
    if (of->training) {
      mean = batch_mean;
      variance = batch_variance;
    }
    double deviation = sqrt(variance + epsilon);
    for (int64_t n = 0; n < problem->outer; n++) {
      for (int64_t i = 0; i < problem->inner; i++) {
        int64_t at = (n * problem->features + f) * problem->inner + i;
        double x = driver_element(&problem->inputs[0], at), y = scale * (x - mean) / deviation + bias;
        double size = fabs(scale / deviation) * (of->training ? fabs(x - mean) : fabs(x) + fabs(mean)) + fabs(bias);
        double lost = fabs(scale / deviation) * (fabs(x) + fabs(mean)); /* by rounding in double */
        if (of->activation.kind == UNARY_RELU) y = y > 0 || isnan(y) ? y : 0;
        problem->y[at] = y;
        problem->error[at] = (lost + fabs(bias)) * (of->training ? 0x1p-44 : 0x1p-50) +
                             (in_float ? 4 * 0x1p-24 * size + 0x1p-148 : 0) + 1.01 * unit(of->x) * fabs(y) +
                             smallest(of->x);
      }
    }
  }
}

/* -------------------------------------------------------------------------------------------------- building a case */

static void problem_layout(bn_problem *problem) {
  const bn_case *of = problem->of;
  problem->count = dims_product(of->dims, 0, of->rank);
  problem->outer = of->dims[0];
  problem->features = of->rank == 1 ? 1 : of->dims[1];
  problem->inner = of->rank == 1 ? 1 : dims_product(of->dims, 2, of->rank);
  problem->vector_rank = 1;
  if (of->per_feature && of->rank > 1) {
    problem->features *= problem->inner;
    problem->inner = 1;
    problem->vector_rank = of->flat ? 1 : of->rank - 1;
    memcpy(problem->vector_dims, of->dims + 1, sizeof(int64_t) * (size_t)(of->rank - 1));
  }
  if (problem->vector_rank == 1) problem->vector_dims[0] = problem->features;
}

static double *doubles(int64_t count) {
  double *block = calloc((size_t)count + 1, sizeof *block);
  assert_non_null(block);
  return block;
}

static bn_problem problem_create(driver *driver, const bn_case *of) {
  bn_problem problem = {.of = of};
  uint64_t random = 0x9E3779B97F4A7C15u + (uint64_t)of->rank;
  problem_layout(&problem);
  problem.inputs[0] = driver_tensor(driver, of->x, of->rank, of->dims, NULL);
  for (int64_t i = 0; i < problem.count; i++) {
    double spread = 1 + (double)(i / problem.inner % problem.features % 3);
    element_set_double(of->x, problem.inputs[0].tensor.data, i, of->offset + spread * driver_random(&random, -1, 2));
  }
  static const double low[5] = {0, -2, -1, -1, 0.05}, high[5] = {0, 2, 1, 2, 3};
  for (int v = 1; v < 5; v++) {
    norma_element_type type = v < 3 ? of->affine : of->statistics;
    problem.inputs[v] = driver_tensor(driver, type, problem.vector_rank, problem.vector_dims, NULL);
    for (int64_t i = 0; i < problem.features; i++) {
      element_set_double(type, problem.inputs[v].tensor.data, i, driver_random(&random, low[v], high[v]));
    }
  }
  if (of->shared) {
    for (int v = 1; v < 4; v++) {
      value_clear(&problem.inputs[v]);
      value_share(&problem.inputs[v], &problem.inputs[4]);
    }
  }
  problem.y = doubles(problem.count);
  problem.error = doubles(problem.count);
  for (int i = 0; i < 4; i++) problem.statistics[i] = doubles(problem.features);
  return problem;
}

static void problem_destroy(bn_problem *problem) {
  for (int i = 0; i < 5; i++) value_clear(&problem->inputs[i]);
  for (int i = 0; i < 4; i++) free(problem->statistics[i]);
  free(problem->y);
  free(problem->error);
}

static driver_call make_call(const bn_problem *problem) {
  static const int64_t consumed[5] = {0, 0, 0, 1, 1};
  const bn_case *of = problem->of;
  driver_call call = {.op_type = "BatchNormalization",
                      .opset = of->opset,
                      .input_count = 5,
                      .output_count = 1,
                      .constants = of->constants,
                      .activation = of->activation,
                      .in_place = of->in_place};
  int a = 0;
  for (int i = 0; i < 5; i++) call.inputs[i] = &problem->inputs[of->shared && i > 0 ? 4 : i];
  if (of->epsilon >= 0) call.attributes[a++] = (attribute)DRIVER_FLOAT("epsilon", (float)of->epsilon);
  if (of->momentum >= 0) call.attributes[a++] = (attribute)DRIVER_FLOAT("momentum", (float)of->momentum);
  if (of->opset < 6) call.attributes[a++] = (attribute)DRIVER_INTS("consumed_inputs", 5, consumed);
  if (of->opset < 7 && !of->training) call.attributes[a++] = (attribute)DRIVER_INT("is_test", 1);
  if (of->opset < 9 && of->per_feature) call.attributes[a++] = (attribute)DRIVER_INT("spatial", 0);
  if (of->opset >= 14 && of->training) call.attributes[a++] = (attribute)DRIVER_INT("training_mode", 1);
  if (of->training) call.output_count = of->opset < 14 ? 5 : 3;
  call.absent_outputs = of->absent_outputs;
  call.unwanted_outputs = of->unwanted_outputs;
  return call;
}

/* -------------------------------------------------------------------------------------------------------- comparing */

static void describe_and_fail(const bn_case *of, const char *what, int64_t index, double expected, double got,
                              const char *kernels) {
  shape shape = shape_make(of->rank, of->dims);
  char text[200];
  fail_msg("opset %d %s%s, %s/%s/%s, X %s, %s: %s[%lld] expected %.9g, got %.9g", of->opset,
           of->training ? "training" : "inference", of->per_feature ? " spatial=0" : "", norma_element_type_name(of->x),
           norma_element_type_name(of->affine), norma_element_type_name(of->statistics),
           shape_text(&shape, text, sizeof text), kernels, what, (long long)index, expected, got);
}

static bool is_close(double expected, double got, double bound) {
  if (isnan(expected)) return isnan(got);
  if (isinf(expected)) return got == expected;
  return fabs(expected - got) <= bound;
}

static void check(const bn_problem *problem, const driver *driver, const char *kernels) {
  static const char *const names[4] = {"running mean", "running variance", "batch mean", "batch variance"};
  const bn_case *of = problem->of;
  if (driver->outputs[0].kind != NORMA_VALUE_NONE) {
    driver_assert_tensor(&driver->outputs[0], of->x, of->rank, of->dims, NULL);
    for (int64_t i = 0; i < problem->count; i++) {
      double got = driver_element(&driver->outputs[0], i);
      if (!is_close(problem->y[i], got, problem->error[i])) describe_and_fail(of, "Y", i, problem->y[i], got, kernels);
    }
  }
  for (int s = 0; s < 4; s++) {
    const value *output = &driver->outputs[1 + s];
    bool wanted =
        of->training && s < (of->opset < 14 ? 4 : 2) && !((of->absent_outputs | of->unwanted_outputs) >> (1 + s) & 1);
    assert_int_equal(output->kind, wanted ? NORMA_VALUE_TENSOR : NORMA_VALUE_NONE);
    if (!wanted) continue;
    norma_element_type type = s < 2 ? of->statistics : of->x;
    driver_assert_tensor(output, type, problem->vector_rank, problem->vector_dims, NULL);
    for (int64_t f = 0; f < problem->features; f++) {
      double expected = problem->statistics[s][f], got = driver_element(output, f);
      double bound = 1.01 * unit(type) * fabs(expected) + 1e-12 * (fabs(expected) + fabs(of->offset) + 1);
      if (!is_close(expected, got, bound)) describe_and_fail(of, names[s], f, expected, got, kernels);
    }
  }
}

static bool same_bits(const value *a, const value *b) {
  return a->kind == b->kind &&
         (a->kind != NORMA_VALUE_TENSOR || (a->tensor.size_bytes == b->tensor.size_bytes &&
                                            memcmp(a->tensor.data, b->tensor.data, a->tensor.size_bytes) == 0));
}

/* Runs a problem with every kernel table, with one worker and with three, which must agree to the bit. */
static void run_problem(driver *driver, bn_problem *problem) {
  const struct kernel_table *kernels;
  reference(problem);
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    value first[5];
    driver_call call = make_call(problem);
    call.kernels = kernels;
    if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s", driver->error.message);
    check(problem, driver, kernels->name);
    for (int i = 0; i < 5; i++) value_share(&first[i], &driver->outputs[i]);
    call.workers = 3;
    assert_int_equal(driver_run(driver, &call), NORMA_OK);
    for (int i = 0; i < 5; i++) {
      if (!same_bits(&first[i], &driver->outputs[i])) fail_msg("output %d depends on the number of threads", i);
      value_clear(&first[i]);
    }
  }
}

static void run_case(const bn_case *of) {
  driver driver;
  driver_init(&driver);
  bn_problem problem = problem_create(&driver, of);
  run_problem(&driver, &problem);
  problem_destroy(&problem);
  driver_finish(&driver);
}

static const int opsets[] = {1, 6, 7, 8, 9, 13, 14, 15, 25};
#define OPSET_COUNT (sizeof opsets / sizeof *opsets)
static const norma_element_type float_types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};

/* Small shapes of every rank. */
static const struct {
  int rank;
  int64_t dims[MAX_RANK];
} shapes[] = {
    {1, {9}}, {2, {5, 4}}, {3, {2, 3, 17}}, {4, {2, 3, 4, 5}}, {5, {2, 3, 2, 3, 4}}, {6, {2, 2, 2, 3, 1, 3}},
};
#define SHAPE_COUNT (sizeof shapes / sizeof *shapes)

static bn_case simple_case(int opset, bool training, norma_element_type type, size_t shape_index) {
  bn_case made = {.opset = opset,
                  .training = training,
                  .x = type,
                  .affine = type,
                  .statistics = type,
                  .rank = shapes[shape_index].rank,
                  .epsilon = -1,
                  .momentum = -1};
  memcpy(made.dims, shapes[shape_index].dims, sizeof made.dims);
  return made;
}

/* ------------------------------------------------------------------------------------------------------------ tests */

static void all_versions_modes_types_and_ranks(void **state) {
  (void)state;
  for (size_t v = 0; v < OPSET_COUNT; v++) {
    for (size_t t = 0; t < (has_type_bfloat16(opsets[v]) ? 4u : 3u); t++) {
      for (size_t s = 0; s < SHAPE_COUNT; s++) {
        for (int variant = 0; variant < 4; variant++) {
          bn_case tested = simple_case(opsets[v], variant & 1, float_types[t], s);
          tested.constants = variant & 2 ? 0x1E : 0;
          run_case(&tested);
        }
      }
    }
  }
}

static void spatial_0_has_parameters_per_feature(void **state) {
  (void)state;
  static const int versions[] = {1, 6, 7, 8};
  for (size_t v = 0; v < sizeof versions / sizeof *versions; v++) {
    for (size_t t = 0; t < 3; t++) {
      for (size_t s = 0; s < SHAPE_COUNT; s++) {
        for (int variant = 0; variant < 8; variant++) {
          bn_case tested = simple_case(versions[v], variant & 1, float_types[t], s);
          tested.per_feature = true;
          tested.flat = variant & 2;
          tested.constants = variant & 4 ? 0x1E : 0;
          run_case(&tested);
        }
      }
    }
  }
}

/* Version 6 says that the vectors have C elements, whatever spatial is; only then a batch cannot be reduced per
 * feature. */
static void spatial_0_with_vectors_of_c_elements_is_per_channel_in_inference(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  bn_case tested = simple_case(6, false, NORMA_FLOAT, 3);
  bn_problem problem = problem_create(&driver, &tested);
  reference(&problem);
  driver_call call = make_call(&problem);
  call.attributes[1] = (attribute)DRIVER_INT("spatial", 0);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  check(&problem, &driver, "default");
  problem_destroy(&problem);
  driver_finish(&driver);
}

static void type_mixtures_of_version_14_and_15(void **state) {
  (void)state;
  for (int x = 0; x < 4; x++) {
    for (int affine = 0; affine < 4; affine++) {
      for (int statistics = 0; statistics < 4; statistics++) {
        for (int variant = 0; variant < 4; variant++) {
          bn_case tested = simple_case(affine == x ? 14 : 15, variant & 1, float_types[x], variant & 2 ? 3 : 1);
          tested.affine = float_types[affine];
          tested.statistics = float_types[statistics];
          tested.constants = variant & 2 ? 0x1E : 0;
          run_case(&tested);
        }
      }
    }
  }
}

static void any_parameter_may_be_constant_or_not(void **state) {
  (void)state;
  for (uint32_t constants = 0; constants < 32; constants++) {
    for (int training = 0; training < 2; training++) {
      bn_case tested = simple_case(15, training, NORMA_FLOAT, 3);
      tested.constants = constants;
      run_case(&tested);
    }
  }
}

/* Running statistics must not be written over an input that is scale and bias as well. */
static void one_value_may_be_all_four_parameters(void **state) {
  (void)state;
  for (size_t v = 0; v < OPSET_COUNT; v++) {
    for (int variant = 0; variant < 4; variant++) {
      bn_case tested = simple_case(opsets[v], variant & 1, NORMA_FLOAT, 3);
      tested.constants = variant & 2 ? 0x1E : 0;
      tested.shared = true;
      run_case(&tested);
    }
  }
}

/* Large enough for several pieces of parallel work and of conversion, with ends that are no multiple of anything. */
static void large_tensors(void **state) {
  (void)state;
  static const bn_case large[] = {
      {.rank = 4, .dims = {3, 5, 71, 83}}, {.rank = 3, .dims = {2, 3, 20011}},  {.rank = 2, .dims = {37, 1301}},
      {.rank = 1, .dims = {40009}},        {.rank = 4, .dims = {50, 67, 3, 3}}, {.rank = 2, .dims = {2000, 1}},
  };
  for (size_t l = 0; l < sizeof large / sizeof *large; l++) {
    for (size_t t = 0; t < 4; t++) {
      for (int training = 0; training < 2; training++) {
        bn_case tested = large[l];
        tested.opset = 15;
        tested.training = training;
        tested.x = tested.affine = tested.statistics = float_types[t];
        tested.epsilon = tested.momentum = -1;
        tested.constants = 0x1E;
        run_case(&tested);
      }
    }
  }
}

static void epsilon_and_momentum_have_their_defaults(void **state) {
  (void)state;
  static const double epsilons[] = {-1, 0, 1e-5, 1e-3, 0.1}, momenta[] = {-1, 0, 0.1, 0.9, 1};
  for (size_t v = 0; v < OPSET_COUNT; v++) {
    for (size_t i = 0; i < 5; i++) {
      bn_case tested = simple_case(opsets[v], true, NORMA_DOUBLE, 2);
      tested.epsilon = epsilons[i];
      tested.momentum = momenta[i];
      run_case(&tested);
      tested.training = false;
      run_case(&tested);
    }
  }
}

/* Trained models have channels that died: variances down to the smallest float, where epsilon alone decides. */
static void variances_from_the_smallest_to_huge(void **state) {
  (void)state;
  static const double variances[] = {0,    5.6e-45, 1e-40, 1e-30, 1e-20, 1e-10, 1e-7, 9e-6,
                                     1e-5, 1.1e-5,  1e-4,  1e-3,  1,     1e5,   2e10};
  enum { channels = sizeof variances / sizeof *variances };
  static const double epsilons[] = {-1, 1e-5, 1e-3, 0};
  for (size_t e = 0; e < 4; e++) {
    for (size_t t = 0; t < 2; t++) {
      for (int64_t inner = 1; inner < 12; inner += 10) {
        bn_case tested = {.opset = 9,
                          .x = float_types[t],
                          .affine = float_types[t],
                          .statistics = float_types[t],
                          .rank = 3,
                          .dims = {3, channels, inner},
                          .epsilon = epsilons[e],
                          .momentum = -1,
                          .constants = 0x1E};
        driver driver;
        driver_init(&driver);
        bn_problem problem = problem_create(&driver, &tested);
        for (int64_t c = 0; c < channels; c++) {
          element_set_double(tested.statistics, problem.inputs[4].tensor.data, c, variances[c]);
        }
        run_problem(&driver, &problem);
        problem_destroy(&problem);
        driver_finish(&driver);
      }
    }
  }
}

static void set(bn_problem *problem, int input, int64_t index, double number) {
  element_set_double(problem->inputs[input].tensor.type, problem->inputs[input].tensor.data, index, number);
}

/* Constant channels, far from 0: the deviation is 0 and Y is the bias, without a trace of the mean. */
static void zero_variance_in_training_gives_the_bias(void **state) {
  (void)state;
  for (size_t t = 0; t < 4; t++) {
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
      bn_case tested = simple_case(15, true, float_types[t], s);
      driver driver;
      driver_init(&driver);
      bn_problem problem = problem_create(&driver, &tested);
      for (int64_t i = 0; i < problem.count; i++) set(&problem, 0, i, 4096);
      run_problem(&driver, &problem);
      for (int64_t i = 0; i < problem.count; i++) {
        int64_t feature = i / problem.inner % problem.features;
        assert_true(driver_element(&driver.outputs[0], i) == driver_element(&problem.inputs[2], feature));
      }
      problem_destroy(&problem);
      driver_finish(&driver);
    }
  }
}

/* Statistics far from 0 keep the deviation's digits: a sum of squares minus the squared mean would lose them. */
static void training_far_from_zero_keeps_its_digits(void **state) {
  (void)state;
  for (size_t s = 0; s < SHAPE_COUNT; s++) {
    for (size_t t = 0; t < 2; t++) {
      bn_case tested = simple_case(15, true, float_types[t], s);
      tested.offset = t == 0 ? 3e5 : 1e6;
      run_case(&tested);
    }
  }
}

static void single_sample(void **state) {
  (void)state;
  for (size_t s = 0; s < SHAPE_COUNT; s++) {
    for (int variant = 0; variant < 8; variant++) {
      bn_case tested = simple_case(variant & 4 ? 7 : 15, variant & 1, NORMA_FLOAT, s);
      tested.dims[0] = 1;
      tested.per_feature = variant & 4;
      tested.constants = variant & 2 ? 0x1E : 0;
      run_case(&tested);
    }
  }
}

/* An empty batch: Y is empty, the running statistics stay as they are. */
static void empty_tensors(void **state) {
  (void)state;
  for (size_t v = 0; v < OPSET_COUNT; v++) {
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
      for (int axis = 0; axis < shapes[s].rank; axis++) {
        for (int variant = 0; variant < 4; variant++) {
          bn_case tested = simple_case(opsets[v], variant & 1, NORMA_FLOAT, s);
          tested.dims[axis] = 0;
          tested.constants = variant & 2 ? 0x1E : 0;
          run_case(&tested);
        }
      }
    }
  }
}

static void nan_and_infinity(void **state) {
  (void)state;
  static const double odd[] = {NAN, INFINITY, -INFINITY};
  for (int input = 0; input < 5; input++) {
    for (size_t o = 0; o < 3; o++) {
      for (int variant = 0; variant < 8; variant++) {
        bn_case tested = simple_case(15, variant & 1, variant & 4 ? NORMA_FLOAT16 : NORMA_FLOAT, variant & 4 ? 1 : 3);
        tested.constants = variant & 2 ? 0x1E : 0;
        driver driver;
        driver_init(&driver);
        bn_problem problem = problem_create(&driver, &tested);
        set(&problem, input, 2, odd[o]);
        run_problem(&driver, &problem);
        problem_destroy(&problem);
        driver_finish(&driver);
      }
    }
  }
}

static void negative_variance_gives_nan_in_its_channel_only(void **state) {
  (void)state;
  for (size_t s = 1; s < SHAPE_COUNT; s++) {
    bn_case tested = simple_case(15, false, NORMA_FLOAT, s);
    driver driver;
    driver_init(&driver);
    bn_problem problem = problem_create(&driver, &tested);
    set(&problem, 4, 1, -1);
    run_problem(&driver, &problem);
    for (int64_t i = 0; i < problem.count; i++) {
      bool second = i / problem.inner % problem.features == 1;
      assert_true((isnan(driver_element(&driver.outputs[0], i)) != 0) == second);
    }
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

/* Where gain or shift leave the range of float, or the gain is so small that it has few digits there, Y may still be an
 * ordinary number. */
static void gains_beyond_float(void **state) {
  (void)state;
  for (int64_t inner = 1; inner < 4; inner += 2) {
    bn_case tested = {.opset = 15,
                      .x = NORMA_FLOAT,
                      .affine = NORMA_DOUBLE,
                      .statistics = NORMA_DOUBLE,
                      .rank = 3,
                      .dims = {2, 3, inner},
                      .epsilon = 0,
                      .momentum = -1,
                      .constants = 0x1E};
    driver driver;
    driver_init(&driver);
    bn_problem problem = problem_create(&driver, &tested);
    set(&problem, 4, 0, 0); /* infinite, but NaN where x is the mean */
    set(&problem, 1, 1, 1e39);
    for (int64_t i = 0; i < problem.count; i++) set(&problem, 0, i, 0x1p-20 * (double)(i + 1));
    set(&problem, 3, 1, 0);
    set(&problem, 3, 0, 0x1p-20);
    set(&problem, 1, 2, 1e-43);
    for (int input = 2; input < 4; input++) set(&problem, input, 2, 0);
    for (int64_t i = 0; i < problem.count; i++) {
      if (i / inner % 3 == 2) set(&problem, 0, i, 1e10 * (double)(i + 1));
    }
    run_problem(&driver, &problem);
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

static void outputs_may_be_left_out_before_version_14(void **state) {
  (void)state;
  static const int versions[] = {1, 6, 7, 9};
  for (size_t v = 0; v < 4; v++) {
    for (uint32_t absent = 0; absent < 15; absent++) { /* 15: no statistics at all, no training from version 7 on */
      bn_case tested = simple_case(versions[v], true, NORMA_FLOAT, 3);
      tested.absent_outputs = absent << 1;
      run_case(&tested);
    }
  }
  bn_case only_y = simple_case(6, true, NORMA_FLOAT, 3);
  only_y.absent_outputs = 0x1E;
  run_case(&only_y);
}

static void outputs_that_nobody_reads(void **state) {
  (void)state;
  static const int versions[] = {6, 9, 14, 15};
  for (size_t v = 0; v < 4; v++) {
    for (uint32_t unwanted = 0; unwanted < 8; unwanted++) {
      bn_case tested = simple_case(versions[v], true, NORMA_FLOAT, 3);
      tested.unwanted_outputs = unwanted;
      run_case(&tested);
    }
  }
}

static void y_may_be_written_over_x(void **state) {
  (void)state;
  for (size_t t = 0; t < 4; t++) {
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
      for (int variant = 0; variant < 4; variant++) {
        bn_case tested = simple_case(15, variant & 1, float_types[t], s);
        tested.constants = variant & 2 ? 0x1E : 0;
        tested.in_place = true;
        run_case(&tested);
      }
    }
  }
}

static void activation_follows(void **state) {
  (void)state;
  for (size_t s = 0; s < SHAPE_COUNT; s++) {
    for (int variant = 0; variant < 4; variant++) {
      bn_case tested = simple_case(15, variant & 1, NORMA_FLOAT, s);
      tested.activation.kind = UNARY_RELU;
      tested.constants = variant & 2 ? 0x1E : 0;
      run_case(&tested);
    }
  }
}

static void a_sample_alone_is_as_in_a_batch(void **state) {
  (void)state;
  const struct kernel_table *kernels;
  for (size_t s = 1; s < SHAPE_COUNT; s++) {
    for (size_t t = 0; t < 4; t++) {
      for (int k = 0; (kernels = driver_kernels(k)); k++) {
        bn_case batch = simple_case(15, false, float_types[t], s), alone = batch;
        alone.dims[0] = 1;
        driver driver;
        driver_init(&driver);
        bn_problem a = problem_create(&driver, &batch), b = problem_create(&driver, &alone);
        driver_call call = make_call(&a);
        call.kernels = kernels;
        assert_int_equal(driver_run(&driver, &call), NORMA_OK);
        value whole;
        value_share(&whole, &driver.outputs[0]);
        size_t bytes = b.inputs[0].tensor.size_bytes;
        const char *last = (const char *)a.inputs[0].tensor.data + a.inputs[0].tensor.size_bytes - bytes;
        memcpy(b.inputs[0].tensor.data, last, bytes);
        call.inputs[0] = &b.inputs[0];
        assert_int_equal(driver_run(&driver, &call), NORMA_OK);
        assert_memory_equal(driver.outputs[0].tensor.data,
                            (const char *)whole.tensor.data + whole.tensor.size_bytes - bytes, bytes);
        value_clear(&whole);
        problem_destroy(&a);
        problem_destroy(&b);
        driver_finish(&driver);
      }
    }
  }
}

/* --------------------------------------------------------------------------------------------------------- refusals */

/* Runs a case whose call was changed and expects a refusal that says `text`. */
static void assert_refused(driver *driver, const driver_call *call, const char *text) {
  norma_status status = driver_run(driver, call);
  if (status != NORMA_ERROR_INVALID_MODEL && status != NORMA_ERROR_INPUT) {
    fail_msg("expected a refusal with \"%s\", got status %d", text, (int)status);
  }
  if (!strstr(driver->error.message, text)) {
    fail_msg("expected a message with \"%s\", got \"%s\"", text, driver->error.message);
  }
  assert_string_equal(driver->error.node, "tested");
}

static void refuses_attributes_that_make_no_sense(void **state) {
  (void)state;
  static const struct {
    int opset;
    bool training;
    attribute changed;
    const char *text;
  } cases[] = {
      {15, false, DRIVER_INT("training_mode", 2), "neither 0 nor 1"},
      {15, false, DRIVER_INT("training_mode", -1), "neither 0 nor 1"},
      {14, false, DRIVER_INT("training_mode", INT64_MAX), "neither 0 nor 1"},
      {15, false, DRIVER_FLOAT("epsilon", -1e-5f), "epsilon"},
      {9, false, DRIVER_FLOAT("epsilon", NAN), "epsilon"},
      {7, false, DRIVER_FLOAT("epsilon", INFINITY), "epsilon"},
      {15, true, DRIVER_FLOAT("momentum", NAN), "momentum"},
      {7, false, DRIVER_INT("is_test", 1), "is_test is not known"},
      {9, false, DRIVER_INT("spatial", 1), "spatial is not known"},
      {13, false, DRIVER_INT("training_mode", 0), "training_mode is not known"},
      {9, false, DRIVER_INT("epsilon", 1), "epsilon is not known"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    driver driver;
    driver_init(&driver);
    bn_case tested = simple_case(cases[c].opset, cases[c].training, NORMA_FLOAT, 3);
    bn_problem problem = problem_create(&driver, &tested);
    driver_call call = make_call(&problem);
    int a = 0;
    while (call.attributes[a].name) a++;
    call.attributes[a] = cases[c].changed;
    assert_refused(&driver, &call, cases[c].text);
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

static void version_1_needs_consumed_inputs(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  bn_case tested = simple_case(1, true, NORMA_FLOAT, 3);
  bn_problem problem = problem_create(&driver, &tested);
  driver_call call = make_call(&problem);
  call.attributes[0].name = NULL;
  assert_refused(&driver, &call, "consumed_inputs is missing");
  problem_destroy(&problem);
  driver_finish(&driver);
}

static void refuses_outputs_that_the_mode_does_not_have(void **state) {
  (void)state;
  static const struct {
    int opset;
    bool training;
    int outputs;
    uint32_t absent;
    const char *text;
  } cases[] = {
      {14, false, 2, 0, "in training mode only"},         {15, false, 3, 0, "in training mode only"},
      {15, false, 3, 2, "in training mode only"},         {6, false, 5, 0, "in training mode only"},
      {1, false, 2, 0, "in training mode only"},          {15, true, 1, 0, "not among the outputs"},
      {14, true, 2, 0, "not among the outputs"},          {15, true, 3, 2, "not among the outputs"},
      {15, true, 3, 4, "not among the outputs"},          {14, true, 5, 0, "since version 14 there are 3"},
      {15, false, 4, 14, "since version 14 there are 3"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    driver driver;
    driver_init(&driver);
    bn_case tested = simple_case(cases[c].opset, cases[c].training, NORMA_FLOAT, 3);
    bn_problem problem = problem_create(&driver, &tested);
    driver_call call = make_call(&problem);
    call.output_count = cases[c].outputs;
    call.absent_outputs = cases[c].absent;
    assert_refused(&driver, &call, cases[c].text);
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

/* Absent outputs beyond Y do not ask for anything. */
static void accepts_absent_outputs_in_inference(void **state) {
  (void)state;
  static const int versions[] = {6, 7, 9, 14, 15};
  for (size_t v = 0; v < 5; v++) {
    driver driver;
    driver_init(&driver);
    bn_case tested = simple_case(versions[v], false, NORMA_FLOAT, 3);
    bn_problem problem = problem_create(&driver, &tested);
    reference(&problem);
    driver_call call = make_call(&problem);
    call.output_count = 3;
    call.absent_outputs = 6;
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    check(&problem, &driver, "default");
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

static void refuses_shapes_that_do_not_fit(void **state) {
  (void)state;
  static const struct {
    int opset;
    bool training, per_feature;
    int x_rank;
    int64_t x[4];
    int vector_ranks[4];
    int64_t vectors[4][3];
    const char *text;
  } cases[] = {
      {15, false, false, 0, {0}, {1, 1, 1, 1}, {{1}, {1}, {1}, {1}}, "scalar"},
      {15, false, false, 2, {2, 3}, {1, 1, 1, 1}, {{4}, {4}, {4}, {4}}, "X needs 3"},
      {15, true, false, 2, {2, 3}, {1, 1, 1, 1}, {{3}, {3}, {2}, {3}}, "mean has shape 2"},
      {15, false, false, 2, {2, 3}, {1, 1, 1, 1}, {{3}, {3}, {3}, {4}}, "variance has shape 4"},
      {15, false, false, 2, {2, 3}, {2, 2, 2, 2}, {{3, 1}, {3, 1}, {3, 1}, {3, 1}}, "have shape"},
      {15, false, false, 2, {2, 3}, {0, 0, 0, 0}, {{0}}, "have shape"},
      {9, false, false, 1, {5}, {1, 1, 1, 1}, {{5}, {5}, {5}, {5}}, "X needs 1"},
      {9, false, false, 4, {2, 3, 4, 5}, {3, 3, 3, 3}, {{3, 4, 5}, {3, 4, 5}, {3, 4, 5}, {3, 4, 5}}, "have shape"},
      {7, false, true, 4, {2, 3, 4, 5}, {1, 1, 1, 1}, {{3}, {3}, {3}, {3}}, "X needs 60"},
      {6, true, true, 4, {2, 3, 4, 5}, {1, 1, 1, 1}, {{3}, {3}, {3}, {3}}, "X needs 60"},
      {7, false, true, 4, {2, 3, 4, 5}, {3, 3, 3, 3}, {{3, 5, 4}, {3, 5, 4}, {3, 5, 4}, {3, 5, 4}}, "X needs 3x4x5"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    driver driver;
    driver_init(&driver);
    bn_case tested = simple_case(cases[c].opset, cases[c].training, NORMA_FLOAT, 1);
    tested.per_feature = cases[c].per_feature;
    bn_problem problem = problem_create(&driver, &tested);
    driver_call call = make_call(&problem);
    value inputs[5];
    inputs[0] = driver_floats(&driver, cases[c].x_rank, cases[c].x, NULL);
    for (int i = 0; i < 4; i++)
      inputs[1 + i] = driver_floats(&driver, cases[c].vector_ranks[i], cases[c].vectors[i], NULL);
    for (int i = 0; i < 5; i++) call.inputs[i] = &inputs[i];
    assert_refused(&driver, &call, cases[c].text);
    for (int i = 0; i < 5; i++) value_clear(&inputs[i]);
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

static void refuses_mixtures_of_types_that_the_version_does_not_have(void **state) {
  (void)state;
  static const struct {
    int opset;
    norma_element_type x, affine, statistics;
    const char *text;
  } cases[] = {
      {13, NORMA_BFLOAT16, NORMA_BFLOAT16, NORMA_BFLOAT16, "bfloat16 needs opset 14"},
      {9, NORMA_FLOAT16, NORMA_FLOAT, NORMA_FLOAT, "before opset 15"},
      {9, NORMA_FLOAT, NORMA_FLOAT, NORMA_DOUBLE, "before opset 14"},
      {6, NORMA_FLOAT16, NORMA_FLOAT16, NORMA_FLOAT, "before opset 14"},
      {14, NORMA_FLOAT16, NORMA_FLOAT, NORMA_FLOAT, "before opset 15"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    driver driver;
    driver_init(&driver);
    bn_case tested = simple_case(cases[c].opset, false, cases[c].x, 3);
    tested.affine = cases[c].affine;
    tested.statistics = cases[c].statistics;
    bn_problem problem = problem_create(&driver, &tested);
    driver_call call = make_call(&problem);
    assert_refused(&driver, &call, cases[c].text);
    problem_destroy(&problem);
    driver_finish(&driver);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_versions_modes_types_and_ranks),
      cmocka_unit_test(spatial_0_has_parameters_per_feature),
      cmocka_unit_test(spatial_0_with_vectors_of_c_elements_is_per_channel_in_inference),
      cmocka_unit_test(type_mixtures_of_version_14_and_15),
      cmocka_unit_test(any_parameter_may_be_constant_or_not),
      cmocka_unit_test(one_value_may_be_all_four_parameters),
      cmocka_unit_test(large_tensors),
      cmocka_unit_test(epsilon_and_momentum_have_their_defaults),
      cmocka_unit_test(variances_from_the_smallest_to_huge),
      cmocka_unit_test(zero_variance_in_training_gives_the_bias),
      cmocka_unit_test(training_far_from_zero_keeps_its_digits),
      cmocka_unit_test(single_sample),
      cmocka_unit_test(empty_tensors),
      cmocka_unit_test(nan_and_infinity),
      cmocka_unit_test(negative_variance_gives_nan_in_its_channel_only),
      cmocka_unit_test(gains_beyond_float),
      cmocka_unit_test(outputs_may_be_left_out_before_version_14),
      cmocka_unit_test(outputs_that_nobody_reads),
      cmocka_unit_test(y_may_be_written_over_x),
      cmocka_unit_test(activation_follows),
      cmocka_unit_test(a_sample_alone_is_as_in_a_batch),
      cmocka_unit_test(refuses_attributes_that_make_no_sense),
      cmocka_unit_test(version_1_needs_consumed_inputs),
      cmocka_unit_test(refuses_outputs_that_the_mode_does_not_have),
      cmocka_unit_test(accepts_absent_outputs_in_inference),
      cmocka_unit_test(refuses_shapes_that_do_not_fit),
      cmocka_unit_test(refuses_mixtures_of_types_that_the_version_does_not_have),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
