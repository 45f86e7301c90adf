/*
 * Cast, CastLike: elements become another type's.
 *
 * Cast      1: attribute to is a name; 6: a number; 9: strings; 13: bfloat16; 19: float8 and saturate; 21, 23, 25, 28:
 *           types below 8 bits; 24: float8e8m0 and round_mode
 * CastLike  15: to the type of input 1; then as Cast
 * BitCast   26: the bits stay, the type changes to one of the same width
 *
 * Integers to narrower integers lose their high bits. Floats to integers are truncated; what does not fit is limited to
 * the type's range, for types of 4 and 2 bits the high bits are lost; NaN becomes 0. Integers to floats are rounded
 * once. Texts are those of the C locale, whatever the program's locale is; see cast_text.h.
 */
#include "ops/elementwise/cast.h"
#include "engine/graph/query.h"
#include "ops/elementwise/cast_text.h"
#include "ops/half.h"
#include "ops/movement/movement.h"
#include "ops/small_float.h"

#include <math.h>
#include <strings.h>

#define CAST_PIECE 256 /* elements that are held in between, as double or int64 */

enum e8m0_rounding { E8M0_UP, E8M0_DOWN, E8M0_NEAREST };

typedef struct cast_state {
  norma_element_type type; /* UNDEFINED: that of input 1 */
  bool saturate;
  enum e8m0_rounding rounding;
} cast_state;

static norma_status cast_read(const node *node, void *state, norma_error *error) {
  cast_state *cast = state;
  const char *rounding = attribute_string(node, "round_mode", "up");
  cast->saturate = attribute_int(node, "saturate", 1) != 0;
  cast->rounding = strcmp(rounding, "down") == 0      ? E8M0_DOWN
                   : strcmp(rounding, "nearest") == 0 ? E8M0_NEAREST
                                                      : E8M0_UP;
  if (cast->rounding == E8M0_UP && strcmp(rounding, "up") != 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "round_mode is \"%s\"", rounding);
  }
  if (strcmp(node->op->name, "CastLike") == 0) return NORMA_OK;
  if (strcmp(node->op->name, "Cast") == 0 && node->version < 6) {
    const char *name = attribute_string(node, "to", "");
    for (int i = 1; i < NORMA_ELEMENT_TYPE_COUNT; i++) {
      if (strcasecmp(name, norma_element_type_name((norma_element_type)i)) == 0) cast->type = (norma_element_type)i;
    }
  } else {
    const int64_t number = attribute_int(node, "to", 0);
    if (number > 0 && number < NORMA_ELEMENT_TYPE_COUNT) cast->type = (norma_element_type)number;
  }
  if (cast->type == NORMA_UNDEFINED) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "attribute to is no element type");
  }
  return NORMA_OK;
}

static norma_status cast_infer(infer_context *context) {
  const cast_state *state = context->state;
  infer_output(context, 0, state->type ? state->type : infer_type(context, 1), infer_shape(context, 0));
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------- small floats */

static uint8_t encode_e8m0(const cast_state *state, double x) {
  if (isnan(x)) return 255;
  if (!(x > 0)) return state->saturate ? 0 : 255;
  if (isinf(x)) return state->saturate ? 254 : 255;
  int exponent;
  const double mantissa = frexp(x, &exponent); /* x = mantissa * 2^exponent, 0.5 <= mantissa < 1 */
  bool up = false;
  if (state->rounding == E8M0_UP) up = mantissa > 0.5;
  if (state->rounding == E8M0_NEAREST) up = mantissa >= 0.75;
  const int code = exponent - 1 + up + 127;
  if (code >= 0 && code <= 254) return (uint8_t)code;
  return state->saturate ? (code < 0 ? 0 : 254) : 255;
}

/* ---------------------------------------------------------------------------------------------------------- numbers */

/* X(element type, C type, smallest, largest) */
#define CAST_INTEGERS(X)                                                                                               \
  X(NORMA_INT8, int8_t, INT8_MIN, INT8_MAX)                                                                            \
  X(NORMA_INT16, int16_t, INT16_MIN, INT16_MAX)                                                                        \
  X(NORMA_INT32, int32_t, INT32_MIN, INT32_MAX)                                                                        \
  X(NORMA_INT64, int64_t, INT64_MIN, INT64_MAX)                                                                        \
  X(NORMA_UINT8, uint8_t, 0, UINT8_MAX)                                                                                \
  X(NORMA_UINT16, uint16_t, 0, UINT16_MAX)                                                                             \
  X(NORMA_UINT32, uint32_t, 0, UINT32_MAX)                                                                             \
  X(NORMA_UINT64, uint64_t, 0, UINT64_MAX)

typedef struct cast_job {
  const cast_state *state;
  const struct kernel_table *kernels;
  norma_element_type from, to;
  const void *source;
  void *target;
} cast_job;

static bool is_integral(norma_element_type type) {
  const type_mask small = TYPE_BIT(NORMA_UINT4) | TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_UINT2) | TYPE_BIT(NORMA_INT2);
  return (TYPE_BIT(type) & (TYPES_INTEGER | TYPE_BIT(NORMA_BOOL) | small)) != 0;
}

static void load_int64(const cast_job *job, int64_t first, int64_t count, int64_t *values) {
  switch (job->from) {
#define CAST_LOAD(constant, type, low, high)                                                                           \
  case constant:                                                                                                       \
    for (int64_t i = 0; i < count; i++) values[i] = (int64_t)((const type *)job->source)[first + i];                   \
    break;
    CAST_INTEGERS(CAST_LOAD)
#undef CAST_LOAD
  case NORMA_BOOL:
    for (int64_t i = 0; i < count; i++) values[i] = ((const uint8_t *)job->source)[first + i] != 0;
    break;
  default:
    for (int64_t i = 0; i < count; i++) values[i] = element_get_int64(job->from, job->source, first + i);
    break;
  }
}

static void store_int64(const cast_job *job, int64_t first, int64_t count, const int64_t *values) {
  const bool is_unsigned = job->from == NORMA_UINT64;
  switch (job->to) {
#define CAST_STORE(constant, type, low, high)                                                                          \
  case constant:                                                                                                       \
    for (int64_t i = 0; i < count; i++) ((type *)job->target)[first + i] = (type)values[i];                            \
    break;
    CAST_INTEGERS(CAST_STORE)
#undef CAST_STORE
  case NORMA_FLOAT:
    for (int64_t i = 0; i < count; i++) {
      ((float *)job->target)[first + i] = is_unsigned ? (float)(uint64_t)values[i] : (float)values[i];
    }
    break;
  case NORMA_FLOAT8E8M0:
    for (int64_t i = 0; i < count; i++) {
      ((uint8_t *)job->target)[first + i] =
          encode_e8m0(job->state, is_unsigned ? (double)(uint64_t)values[i] : (double)values[i]);
    }
    break;
  default:
    for (int64_t i = 0; i < count; i++) {
      if (is_unsigned && values[i] < 0 && !is_integral(job->to)) {
        element_set_double(job->to, job->target, first + i, (double)(uint64_t)values[i]);
      } else {
        element_set_int64(job->to, job->target, first + i, values[i]);
      }
      const unsigned code = job->state->saturate ? 0 : small_float_overflow(job->to, (double)values[i]);
      if (code) ((uint8_t *)job->target)[first + i] = (uint8_t)code;
    }
    break;
  }
}

static void load_double(const cast_job *job, int64_t first, int64_t count, double *values) {
  if (is_half(job->from)) {
    float piece[CAST_PIECE];
    half_to_float(job->kernels, job->from, piece, (const uint16_t *)job->source + first, count);
    for (int64_t i = 0; i < count; i++) values[i] = (double)piece[i];
  } else {
    elements_to_double(job->from, job->source, first, count, values);
  }
}

static void store_double(const cast_job *job, int64_t first, int64_t count, const double *values) {
  switch (job->to) {
    /* The largest 64-bit integers are no doubles: the bound is the power of two above, and >= catches both. */
#define CAST_LIMIT(constant, type, low, high)                                                                          \
  case constant:                                                                                                       \
    for (int64_t i = 0; i < count; i++) {                                                                              \
      const double x = values[i];                                                                                      \
      ((type *)job->target)[first + i] = x >= (double)high ? high : x > (double)low ? (type)x : isnan(x) ? 0 : low;    \
    }                                                                                                                  \
    break;
    CAST_INTEGERS(CAST_LIMIT)
#undef CAST_LIMIT
  case NORMA_BOOL:
    for (int64_t i = 0; i < count; i++) ((uint8_t *)job->target)[first + i] = values[i] != 0;
    break;
  case NORMA_FLOAT8E8M0:
    for (int64_t i = 0; i < count; i++) ((uint8_t *)job->target)[first + i] = encode_e8m0(job->state, values[i]);
    break;
  case NORMA_INT4:
  case NORMA_UINT4:
  case NORMA_INT2:
  case NORMA_UINT2:
    for (int64_t i = 0; i < count; i++) {
      const double x = isnan(values[i]) ? 0 : fmax(-0x1p62, fmin(0x1p62, values[i]));
      element_set_int64(job->to, job->target, first + i, (int64_t)x);
    }
    break;
  default:
    elements_from_double(job->to, job->target, first, count, values);
    for (int64_t i = 0; i < count && !job->state->saturate; i++) {
      const unsigned code = small_float_overflow(job->to, values[i]);
      if (code) ((uint8_t *)job->target)[first + i] = (uint8_t)code;
    }
    break;
  }
}

static void cast_body(void *argument, int64_t begin, int64_t end, int worker) {
  const cast_job *job = argument;
  (void)worker;
  if (job->from == NORMA_FLOAT && is_half(job->to)) {
    half_from_float(job->kernels, job->to, (uint16_t *)job->target + begin, (const float *)job->source + begin,
                    end - begin);
    return;
  }
  if (is_half(job->from) && job->to == NORMA_FLOAT) {
    half_to_float(job->kernels, job->from, (float *)job->target + begin, (const uint16_t *)job->source + begin,
                  end - begin);
    return;
  }
  array_unary_function *direct = array_conversion_find(job->kernels->arrays, job->from, job->to);
  if (direct) {
    const size_t from = element_type_bytes(job->from), to = element_type_bytes(job->to);
    direct((char *)job->target + (size_t)begin * to, (const char *)job->source + (size_t)begin * from,
           (size_t)(end - begin));
    return;
  }
  for (int64_t first = begin; first < end; first += CAST_PIECE) {
    const int64_t count = end - first < CAST_PIECE ? end - first : CAST_PIECE;
    if (is_integral(job->from)) {
      int64_t values[CAST_PIECE];
      load_int64(job, first, count, values);
      store_int64(job, first, count, values);
    } else {
      double values[CAST_PIECE];
      load_double(job, first, count, values);
      store_double(job, first, count, values);
    }
  }
}

static norma_status cast_numbers(run_context *context, norma_tensor *output) {
  const norma_tensor *input = run_input(context, 0);
  cast_job job = {context->state, context->kernels, input->type, output->type, input->data, output->data};
  /* The grain is a multiple of 8, so that no two pieces share a byte of packed elements. */
  return run_parallel(context, norma_tensor_count(input), 16384, cast_body, &job);
}

/* ------------------------------------------------------------------------------------------------------------ texts */

#define TEXTS_PER_POLL 1024 /* some milliseconds between questions whether to stop */

static norma_status cast_to_strings(run_context *context) {
  const norma_tensor *input = run_input(context, 0);
  const int64_t count = norma_tensor_count(input);
  const shape shape = shape_of_tensor(input);
  void *block;
  size_t bytes;
  if (!size_multiply((size_t)count, CAST_TEXT_SIZE, &bytes)) {
    return run_fail(context, NORMA_ERROR_BUDGET, "the output is too large");
  }
  TRY(run_allocate_temporary(context, bytes, &block));
  char *texts = block;
  size_t total = 0;
  for (int64_t i = 0; i < count; i++) {
    if (i % TEXTS_PER_POLL == 0) TRY(run_poll(context));
    total += cast_number_to_text(input->type, input->data, i, texts + (size_t)i * CAST_TEXT_SIZE);
  }
  char *characters;
  norma_tensor *output;
  TRY(run_allocate_strings(context, 0, &shape, total, &characters, &output));
  for (int64_t i = 0; i < count; i++) {
    if (i % TEXTS_PER_POLL == 0) TRY(run_poll(context));
    const char *text = texts + (size_t)i * CAST_TEXT_SIZE;
    const size_t size = strlen(text);
    memcpy(characters, text, size);
    ((norma_string *)output->data)[i] = (norma_string){characters, size};
    characters += size;
  }
  return NORMA_OK;
}

static norma_status cast_from_strings(run_context *context, norma_tensor *output) {
  const norma_tensor *input = run_input(context, 0);
  const int64_t count = norma_tensor_count(input);
  for (int64_t i = 0; i < count; i++) {
    if (i % TEXTS_PER_POLL == 0) TRY(run_poll(context));
    const norma_string *text = &((const norma_string *)input->data)[i];
    if (!cast_text_to_number(text, output->type, output->data, i)) {
      return run_fail(context, NORMA_ERROR_RUN, "\"%.*s\" is no number", text->size > 60 ? 60 : (int)text->size,
                      text->data ? text->data : "");
    }
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status cast_compute(run_context *context) {
  const cast_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  const norma_element_type type = state->type ? state->type : run_input(context, 1)->type;
  if (!context->outputs[0]) return NORMA_OK;
  if (input->type == type) return movement_same(context);
  if (type == NORMA_STRING) return cast_to_strings(context);
  norma_tensor *output = run_output(context, 0);
  return input->type == NORMA_STRING ? cast_from_strings(context, output) : cast_numbers(context, output);
}

static norma_status bit_cast_infer(infer_context *context) {
  const cast_state *state = context->state;
  const norma_element_type from = infer_type(context, 0);
  if (from != NORMA_UNDEFINED && element_type_bits(from) != element_type_bits(state->type)) {
    return infer_fail(context, "%s and %s differ in width", norma_element_type_name(from),
                      norma_element_type_name(state->type));
  }
  return cast_infer(context);
}

static const operator_attribute cast_attributes[] = {
    {"to", ATTRIBUTE_STRING, 1, 5, true},
    {"to", ATTRIBUTE_INT, 6, OPERATOR_LATEST, true},
    {"saturate", ATTRIBUTE_INT, 19, OPERATOR_LATEST, false},
    {"round_mode", ATTRIBUTE_STRING, 24, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute cast_like_attributes[] = {
    {"saturate", ATTRIBUTE_INT, 19, OPERATOR_LATEST, false},
    {"round_mode", ATTRIBUTE_STRING, 24, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute bit_cast_attributes[] = {
    {"to", ATTRIBUTE_INT, 26, OPERATOR_LATEST, true},
    {0},
};

#define CAST_TYPES     (TYPES_ALL & ~TYPES_COMPLEX)
#define BIT_CAST_TYPES (TYPES_DENSE)

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool casts_to_same(const node *node) {
  const cast_state *state = node->state;
  return value_is(node->inputs[0], state->type);
}

static bool casts_like_same(const node *node) {
  return node_has_input(node, 1) && node->inputs[0]->info.type != NORMA_UNDEFINED &&
         value_is_of(node->inputs[0], TYPES_ALL) && value_is(node->inputs[1], node->inputs[0]->info.type);
}

#define OPSET_OF_CAST 13 /* the first whose definition knows all types of half precision */

static const char cast_name[] = "Cast";

node *graph_insert_cast(graph *graph, node *position, const char *name, norma_element_type type) {
  node *made = graph_insert_node(graph, position, name, cast_name, "", 1, 1, 0);
  if (!made || !node_set_attribute_int(made, "to", type)) return NULL;
  made->opset = OPSET_OF_CAST;
  return made;
}

bool node_is_cast(const node *node) {
  return strcmp(node->op_type, cast_name) == 0 && node->domain[0] == 0 && node_has_input(node, 0) &&
         node_has_output(node, 0);
}

const operator_descriptor operators_cast[] = {
    {.name = cast_name,
     .domain = "",
     .versions = {1, 6, 9, 13, 19, 21, 23, 24, 25, 28},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{CAST_TYPES, INPUT(0), 0}, {CAST_TYPES, 0, OUTPUT(0)}},
     .attributes = cast_attributes,
     .in_place = INPUT(0),
     .state_size = sizeof(cast_state),
     .read = cast_read,
     .infer = cast_infer,
     .facts = {.is_identity = casts_to_same, .dimension = fact_dimension_same},
     .compute = cast_compute},
    {.name = "CastLike",
     .domain = "",
     .versions = {15, 19, 21, 23, 24, 25},
     .min_inputs = 2,
     .max_inputs = 2,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{CAST_TYPES, INPUT(0), 0}, {CAST_TYPES, INPUT(1), OUTPUT(0)}},
     .attributes = cast_like_attributes,
     .in_place = INPUT(0),
     .state_size = sizeof(cast_state),
     .read = cast_read,
     .infer = cast_infer,
     .facts = {.is_identity = casts_like_same, .dimension = fact_dimension_same},
     .compute = cast_compute},
    {.name = "BitCast",
     .domain = "",
     .versions = {26},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{BIT_CAST_TYPES, INPUT(0), 0}, {BIT_CAST_TYPES, 0, OUTPUT(0)}},
     .attributes = bit_cast_attributes,
     .flags = OPERATOR_VIEW,
     .in_place = INPUT(0),
     .state_size = sizeof(cast_state),
     .read = cast_read,
     .infer = bit_cast_infer,
     .compute = movement_same},
    {0},
};
