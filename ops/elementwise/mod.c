/*
 * Mod: the remainder of a division. With fmod = 0 the quotient is rounded down and the result has the divisor's sign,
 * with fmod = 1 it is truncated and the result has the dividend's.
 *
 * 10; 13: bfloat16; 28: fmod = 0 of float types as well, as Python's %. An integer modulo zero is an error; modulo -1
 * is 0.
 */
#include "ops/elementwise/binary.h"

#include <math.h>

typedef struct mod_state {
  bool truncate; /* attribute fmod */
} mod_state;

typedef struct mod_job {
  norma_element_type type;
  bool truncate;
  atomic_bool division_by_zero;
} mod_job;

static double floor_mod(double x, double z) {
  double rest = fmod(x, z);
  if (rest == 0) return copysign(0, z);
  return (rest < 0) != (z < 0) ? rest + z : rest; /* NaN stays */
}

static double float_mod(const mod_job *job, double x, double z) {
  return job->truncate ? fmod(x, z) : floor_mod(x, z);
}

#define MOD_JOB       ((mod_job *)argument)
#define BY_ZERO       (atomic_store_explicit(&MOD_JOB->division_by_zero, true, memory_order_relaxed), 0)
#define FLOORED(x, z) (x % z != 0 && !MOD_JOB->truncate && (x < 0) != (z < 0) ? x % z + z : x % z)

#define MOD_SIGNED_ROW(constant, type)                                                                                 \
  BINARY_ROW(mod_##type, type, type, type, z == 0 ? BY_ZERO : z == -1 ? 0 : FLOORED(x, z))
#define MOD_UNSIGNED_ROW(constant, type) BINARY_ROW(mod_##type, type, type, type, z == 0 ? BY_ZERO : x % z)
NATIVE_SIGNED(MOD_SIGNED_ROW)
NATIVE_UNSIGNED(MOD_UNSIGNED_ROW)
/* The remainder of floats is a float: through double nothing is lost, and a sum is rounded once. Where the quotient has
 * 29 bits at most, its product with the divisor is exact; rounded up, it is one too large. */
static inline double mod_of_floats(const mod_job *job, double x, double z) {
  const double quotient = trunc(x / z), magnitude = fabs(quotient);
  if (!(magnitude < 0x1p28) || z == 0 || isinf(z)) return float_mod(job, x, z); /* NaN and infinities too */
  double rest = x - quotient * z;
  if ((rest < 0) != (x < 0) && rest != 0) rest += (x < 0) == (z < 0) ? z : -z;
  if (job->truncate) return copysign(rest, x);
  if (rest == 0) return copysign(0, z);
  return (rest < 0) != (z < 0) ? rest + z : rest;
}
BINARY_ROW(mod_float, float, float, float, mod_of_floats(argument, (double)x, (double)z))
BINARY_ROW(mod_double, double, double, double, float_mod(argument, x, z))

static void mod_half(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const mod_job *job = argument;
  for (int64_t i = 0; i < count; i++) {
    const double x = element_get_double(job->type, pointers[1] + i * steps[1], 0);
    const double z = element_get_double(job->type, pointers[2] + i * steps[2], 0);
    element_set_double(job->type, pointers[0], i, float_mod(job, x, z));
  }
}

static norma_status mod_read(const node *node, void *state, norma_error *error) {
  mod_state *mod = state;
  const int64_t fmod_attribute = attribute_int(node, "fmod", 0);
  if (fmod_attribute != 0 && fmod_attribute != 1) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "fmod is %lld, neither 0 nor 1",
                         (long long)fmod_attribute);
  }
  mod->truncate = fmod_attribute == 1;
  return NORMA_OK;
}

static norma_status mod_infer(infer_context *context) {
  const mod_state *state = context->state;
  const norma_element_type type = infer_type(context, 0);
  if (context->node->version < 28 && !state->truncate && (TYPE_BIT(type) & TYPES_FLOAT)) {
    return infer_fail(context, "fmod must be 1 for %s before opset 28", norma_element_type_name(type));
  }
  return binary_infer_shape(context, NULL, type);
}

static norma_status mod_compute(run_context *context) {
  const mod_state *state = context->state;
  const norma_tensor *a = run_input(context, 0);
  mod_job job = {.type = a->type, .truncate = state->truncate};
  strided_row *row = mod_half;
  switch (a->type) {
#define MOD_CASE(constant, type)                                                                                       \
  case constant:                                                                                                       \
    row = mod_##type;                                                                                                  \
    break;
    NATIVE_SIGNED(MOD_CASE)
    NATIVE_UNSIGNED(MOD_CASE)
    MOD_CASE(NORMA_FLOAT, float)
    MOD_CASE(NORMA_DOUBLE, double)
#undef MOD_CASE
  default:
    break;
  }
  TRY(binary_run(context, NULL, a, run_input(context, 1), 4096, row, &job));
  if (atomic_load_explicit(&job.division_by_zero, memory_order_relaxed)) {
    return run_fail(context, NORMA_ERROR_RUN, "an integer is divided by zero");
  }
  return NORMA_OK;
}

static const operator_attribute mod_attributes[] = {
    {"fmod", ATTRIBUTE_INT, 10, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_mod[] = {
    {.name = "Mod",
     .domain = "",
     .versions = {10, 13, 28},
     .min_inputs = 2,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_NUMERIC, INPUT(0) | INPUT(1), OUTPUT(0)}},
     .attributes = mod_attributes,
     .in_place = INPUT(0) | INPUT(1),
     .state_size = sizeof(mod_state),
     .read = mod_read,
     .infer = mod_infer,
     .compute = mod_compute},
    {0},
};
