/*
 * MelWeightMatrix 17 (ai.onnx): triangular filters that gather the bins of a spectrum into bands of the mel scale
 *
 *   mel(f) = 2595 log10(1 + f / 700)
 *
 * num_mel_bins + 2 edges lie at equal distances on that scale from lower_edge_hertz on, num_mel_bins + 2 of which would
 * reach upper_edge_hertz. Edge e falls into bin floor((dft_length + 1) * hertz(e) / sample_rate); band b rises from
 * edge b to 1 at edge b + 1 and falls to edge b + 2. Output [dft_length / 2 + 1, num_mel_bins], computed in double.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct mel_state {
  norma_element_type type;
} mel_state;

static norma_status mel_read(const node *node, void *opaque, norma_error *error) {
  const int64_t type = attribute_int(node, "output_datatype", NORMA_FLOAT);
  if (type < 0 || type >= NORMA_ELEMENT_TYPE_COUNT || !(TYPE_BIT(type) & TYPES_NUMERIC))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "output_datatype %" PRId64 " is no numeric type",
                         type);
  ((mel_state *)opaque)->type = (norma_element_type)type;
  return NORMA_OK;
}

/* Size of dimension 0 (from dft_length) or 1 (from num_mel_bins), if the number is known. */
static norma_status mel_infer_size(infer_context *context, int input, int64_t *size) {
  const norma_tensor *number = infer_value(context, input);
  if (!number) return NORMA_OK;
  if (norma_tensor_count(number) != 1) return infer_fail(context, "input %d must be one number", input);
  const int64_t given = tensor_get_int64(number, 0);
  if (given < 0) return infer_fail(context, "%s is %" PRId64, input == 0 ? "num_mel_bins" : "dft_length", given);
  *size = input == 0 ? given : given / 2 + 1;
  return NORMA_OK;
}

static norma_status mel_infer(infer_context *context) {
  const mel_state *state = context->state;
  shape result = shape_of_rank(2);
  TRY(mel_infer_size(context, 1, &result.dims[0]));
  TRY(mel_infer_size(context, 0, &result.dims[1]));
  infer_output(context, 0, state->type, &result);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct mel_scale {
  int64_t bands, dft_length, sample_rate;
  double lower, step; /* on the mel scale */
} mel_scale;

/* The bin of an edge, as a number that may lie outside the spectrum. */
static double mel_edge(const mel_scale *scale, int64_t edge) {
  const double mel = (double)edge * scale->step + scale->lower;
  const double hertz = 700 * expm1(mel / 2595 * 2.30258509299404568402);
  return floor((double)(scale->dft_length + 1) * hertz / (double)scale->sample_rate);
}

static double mel_of_hertz(double hertz) {
  return 2595 * log1p(hertz / 700) / 2.30258509299404568402;
}

static norma_status mel_make_scale(run_context *context, mel_scale *scale) {
  for (int i = 0; i < 5; i++) {
    if (norma_tensor_count(run_input(context, i)) != 1)
      return run_fail(context, NORMA_ERROR_RUN, "input %d must be one number", i);
  }
  const norma_tensor *low = run_input(context, 3), *high = run_input(context, 4);
  const double lower = element_get_double(low->type, low->data, 0);
  const double upper = element_get_double(high->type, high->data, 0);
  *scale = (mel_scale){.bands = tensor_get_int64(run_input(context, 0), 0),
                       .dft_length = tensor_get_int64(run_input(context, 1), 0),
                       .sample_rate = tensor_get_int64(run_input(context, 2), 0)};
  if (scale->bands < 0 || scale->dft_length < 0 || scale->sample_rate < 1)
    return run_fail(context, NORMA_ERROR_RUN, "num_mel_bins, dft_length and sample_rate must be positive");
  if (!(lower >= 0 && upper >= lower && upper < (double)INFINITY))
    return run_fail(context, NORMA_ERROR_RUN, "the edges are %g and %g hertz", lower, upper);
  scale->lower = mel_of_hertz(lower);
  scale->step = (mel_of_hertz(upper) - scale->lower) / (double)(scale->bands + 2);
  const double bins = (double)(scale->dft_length / 2 + 1); /* edges rise: those of the last band are the furthest */
  if (scale->bands > 0 && (mel_edge(scale, scale->bands) >= bins || mel_edge(scale, scale->bands + 1) > bins))
    return run_fail(context, NORMA_ERROR_RUN, "the bands reach beyond half the sample rate");
  return NORMA_OK;
}

static void mel_set(const norma_tensor *output, int64_t bin, int64_t band, double value) {
  element_set_double(output->type, output->data, bin * output->dims[1] + band, value);
}

static norma_status mel_compute(run_context *context) {
  const norma_tensor *output = run_output(context, 0);
  mel_scale scale;
  if (!output) return NORMA_OK;
  TRY(mel_make_scale(context, &scale));
  if (output->dims[0] != scale.dft_length / 2 + 1 || output->dims[1] != scale.bands)
    return run_fail(context, NORMA_ERROR_RUN, "num_mel_bins and dft_length do not fit the output");
  if (output->size_bytes) memset(output->data, 0, output->size_bytes);
  int64_t done = 0;
  for (int64_t band = 0; band < scale.bands; band++) {
    const int64_t low = (int64_t)mel_edge(&scale, band), center = (int64_t)mel_edge(&scale, band + 1);
    const int64_t high = (int64_t)mel_edge(&scale, band + 2);
    for (int64_t bin = low; bin < center; bin++)
      mel_set(output, bin, band, (double)(bin - low) / (double)(center - low));
    mel_set(output, center, band, 1);
    for (int64_t bin = center + 1; bin < high; bin++)
      mel_set(output, bin, band, (double)(high - bin) / (double)(high - center));
    done += high - low + 1;
    if (done > 65536) {
      TRY(run_poll(context));
      done = 0;
    }
  }
  return NORMA_OK;
}

static const operator_attribute mel_attributes[] = {
    {"output_datatype", ATTRIBUTE_INT, 17, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_mel_weight_matrix[] = {
    {
        .domain = "",
        .name = "MelWeightMatrix",
        .versions = {17},
        .min_inputs = 5,
        .max_inputs = 5,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(0) | INPUT(1) | INPUT(2), 0},
                  {TYPES_FLOAT, INPUT(3) | INPUT(4), 0},
                  {TYPES_NUMERIC, 0, OUTPUT(0)}},
        .attributes = mel_attributes,
        .state_size = sizeof(mel_state),
        .read = mel_read,
        .infer = mel_infer,
        .compute = mel_compute,
    },
    {0},
};
