/* Convolution on channel blocks: the choice of an algorithm and the division of work: part of kernel_table_isa.c. */

/* ---- the choice ----
 * Costs count multiply-adds of vectors. Weights are fetched from memory meanwhile, at 10 to 20 GB/s when all layers of
 * a model take turns: a vector of them takes as long as BLOCKED_WEIGHT_COST products, and so many products with each
 * are free. Winograd's transforms cost a number of vector operations per tile and block, loads and stores included. */
#if defined(__AVX512F__)
#define BLOCKED_WEIGHT_COST 24
#else
#define BLOCKED_WEIGHT_COST 12
#endif

INLINE double blocked_products_cost(const struct blocked_conv_f32 *conv, double products) {
  const double weights = (double)conv->channels * (double)blocked_count(conv->outputs);
  return weights * (products < BLOCKED_WEIGHT_COST ? BLOCKED_WEIGHT_COST : products);
}

static double blocked_winograd_cost(const struct blocked_conv_f32 *conv, size_t m, double input_cost,
                                    double output_cost) {
  const double tiles = (double)(((conv->output[0] + m - 1) / m) * ((conv->output[1] + m - 1) / m));
  return (double)((m + 2) * (m + 2)) * blocked_products_cost(conv, tiles) +
         tiles *
             (input_cost * (double)blocked_count(conv->channels) + output_cost * (double)blocked_count(conv->outputs));
}

static enum blocked_algorithm blocked_conv_choose(const struct blocked_conv_f32 *conv, bool exact) {
  for (int d = 0; d < 2; d++)
    if (conv->kernel[d] != 3 || conv->stride[d] != 1 || conv->dilation[d] != 1) return BLOCKED_DIRECT;
  if (exact || conv->plain_input) return BLOCKED_DIRECT;
  const double pixels = (double)(conv->output[0] * conv->output[1]);
  const double direct = 9 * blocked_products_cost(conv, 1.1 * pixels);
  const double small = blocked_winograd_cost(conv, 2, 60, 40), large = blocked_winograd_cost(conv, 4, 250, 180);
  if (large < small && large < direct) return BLOCKED_WINOGRAD_4;
  return small < direct ? BLOCKED_WINOGRAD_2 : BLOCKED_DIRECT;
}

static size_t blocked_conv_packed_size(const struct blocked_conv_f32 *conv) {
  const size_t matrix = blocked_count(conv->outputs) * VF_LANES * conv->channels;
  if (conv->algorithm == BLOCKED_DIRECT) return matrix * conv->kernel[0] * conv->kernel[1];
  return matrix * (conv->algorithm == BLOCKED_WINOGRAD_4 ? 36 : 16);
}

static void blocked_conv_pack(const struct blocked_conv_f32 *conv, float *packed, const float *weights) {
  if (conv->algorithm == BLOCKED_DIRECT)
    blocked_direct_pack(conv, packed, weights);
  else
    blocked_winograd_pack(conv, packed, weights);
}

static size_t blocked_conv_scratch_size(const struct blocked_conv_f32 *conv) {
  return conv->algorithm == BLOCKED_DIRECT ? blocked_direct_scratch_size(conv) : blocked_winograd_scratch_size(conv);
}

/* The work of a sample: rows (output rows, pixels of a 1x1 convolution, tiles of Winograd's) times panels of outputs,
 * cut in parts of both. */
struct blocked_division {
  size_t rows, row_parts;
  size_t panels, panel_parts;
};

/* Parts for each worker, so that a late one costs little. */
enum { BLOCKED_PARTS_PER_WORKER = 3 };

/* Splitting rows makes each worker read all weights, splitting outputs makes each read (and copy or transform) all
 * inputs: the smaller of the two is read more than once. */
static struct blocked_division blocked_divide(const struct blocked_conv_f32 *conv, int workers) {
  struct blocked_division division = {.row_parts = 1, .panel_parts = 1};
  const size_t inputs = conv->channels * conv->input[0] * conv->input[1];
  const size_t wanted = workers > 1 ? (size_t)workers * BLOCKED_PARTS_PER_WORKER : 1;
  size_t grain = 1;
  if (conv->algorithm == BLOCKED_DIRECT) {
    const struct blocked_direct d = blocked_direct_of(conv);
    division.rows = d.rows;
    if (d.in_place) grain = BLOCKED_PIXELS_2;
  } else {
    const struct blocked_winograd w = blocked_winograd_of(conv);
    division.rows = w.tile_rows * w.tile_columns;
    grain = 2 * BLOCKED_PIXELS_2;
  }
  division.panels = blocked_panels(blocked_count(conv->outputs));
  const size_t row_grains = division.rows < grain ? 1 : division.rows / grain;
  if (!division.panels) return division;
  if (blocked_conv_packed_size(conv) > inputs) {
    division.panel_parts = blocked_smaller(wanted, division.panels);
    division.row_parts = blocked_smaller(wanted / division.panel_parts, row_grains);
  } else {
    division.row_parts = blocked_smaller(wanted, row_grains);
    division.panel_parts = blocked_smaller(wanted / division.row_parts, division.panels);
  }
  return division;
}

static size_t blocked_conv_units(const struct blocked_conv_f32 *conv, int workers) {
  const struct blocked_division division = blocked_divide(conv, workers);
  return division.row_parts * division.panel_parts;
}

static void blocked_conv_run(const struct blocked_conv_f32 *conv, int workers, const float *x, float *y,
                             size_t unit_begin, size_t unit_end, void *scratch) {
  const struct blocked_division d = blocked_divide(conv, workers);
  while (unit_begin < unit_end) { /* whole parts of rows at once, else what shares one */
    const size_t left = unit_end - unit_begin, row_part = unit_begin / d.panel_parts;
    const size_t panel_part = unit_begin % d.panel_parts, whole = panel_part ? 0 : left / d.panel_parts;
    const size_t row_parts = whole ? whole : 1;
    const size_t panel_parts = whole ? d.panel_parts : blocked_smaller(left, d.panel_parts - panel_part);
    const size_t row_begin = blocked_part(d.rows, d.row_parts, row_part);
    const size_t row_end = blocked_part(d.rows, d.row_parts, row_part + row_parts);
    const size_t panel_begin = blocked_part(d.panels, d.panel_parts, panel_part);
    const size_t panel_end = blocked_part(d.panels, d.panel_parts, panel_part + panel_parts);
    if (conv->algorithm == BLOCKED_DIRECT)
      blocked_direct_run(conv, x, y, row_begin, row_end, panel_begin, panel_end, scratch);
    else
      blocked_winograd_run(conv, x, y, row_begin, row_end, panel_begin, panel_end, scratch);
    unit_begin += row_parts * panel_parts;
  }
}
