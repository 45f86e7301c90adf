/* Convolution on channel blocks: the choice of an algorithm and the division of work: part of kernel_table_isa.c. */

/* ---- the choice ----
 * Costs count multiply-adds of vectors. Weights are fetched from memory meanwhile, at 10 to 20 GB/s when all layers of
 * a model take turns: a vector of them takes as long as BLOCKED_WEIGHT_COST products, and so many products with each
 * are free. Winograd's transforms cost a number of vector operations per tile and block, loads and stores included. */
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

static void blocked_conv_pack(const struct blocked_conv_f32 *conv, float *packed, const void *weights, size_t first,
                              size_t count) {
  if (conv->algorithm == BLOCKED_DIRECT)
    blocked_direct_pack(conv, packed, weights, first, count);
  else
    blocked_winograd_pack(conv, packed, weights, first, count);
}

static size_t blocked_conv_scratch_size(const struct blocked_conv_f32 *conv) {
  return conv->algorithm == BLOCKED_DIRECT ? blocked_direct_scratch_size(conv) : blocked_winograd_scratch_size(conv);
}

/* ---- the division of work ----
 * A sample's work is rows (output rows, pixels of a 1x1 convolution, tiles of Winograd's) times panels of outputs, and
 * is cut in parts of both. Splitting rows makes each worker read all weights; splitting panels makes each read, and
 * copy or transform, all inputs. Costs are counted as above. */
struct blocked_work {
  size_t rows, panels;
  size_t least_rows;    /* of a part */
  double row_products;  /* of one row with all panels */
  double row_inputs;    /* to copy or transform the inputs of a row */
  double weights;       /* to read all weights once more */
  double tile_rows;     /* rows of a register tile, each of which costs something by itself */
  double input, output; /* vectors */
};

/* What a call costs besides, and a loop on several workers: some 0.4 and 0.8 us. */
#define BLOCKED_CALL_COST 2000.0
#define BLOCKED_LOOP_COST 4000.0
/* Reading weights that another worker, or an earlier call, has brought into the shared cache. */
#define BLOCKED_WEIGHT_AGAIN_COST 4.0

/* BLOCKED_FOREIGN_COST, of the instruction set: reading a vector that another worker has written and still has in a
 * cache of its own, at some 10 GB/s. */

static struct blocked_work blocked_work_of(const struct blocked_conv_f32 *conv) {
  const double channels = (double)conv->channels, blocks = (double)blocked_count(conv->outputs);
  const double channel_blocks = (double)blocked_count(conv->channels);
  struct blocked_work work = {.panels = blocked_panels(blocked_count(conv->outputs)), .least_rows = 4, .tile_rows = 1};
  double depth = channels;
  if (conv->algorithm == BLOCKED_DIRECT) {
    const struct blocked_direct d = blocked_direct_of(conv);
    depth *= (double)d.taps;
    work.rows = d.rows;
    work.row_inputs = d.band_rows ? (double)(d.planes * d.plane) / (double)d.band_rows : 0;
    if (d.in_place)
      work.row_inputs = channel_blocks / 2, work.tile_rows = BLOCKED_PIXELS_2;
    else
      work.least_rows = 1;
    work.row_products = (double)d.row_pixels * depth * blocks;
  } else {
    const struct blocked_winograd w = blocked_winograd_of(conv);
    depth *= (double)w.positions;
    work.rows = w.tile_rows * w.tile_columns;
    work.row_inputs = channel_blocks * (w.m == 4 ? 250 : 60);
    work.tile_rows = BLOCKED_PIXELS_2;
    work.row_products = depth * blocks;
  }
  work.weights = depth * blocks * BLOCKED_WEIGHT_AGAIN_COST;
  work.input = conv->plain_input ? 0 : channel_blocks * (double)(conv->input[0] * conv->input[1]);
  work.output = blocks * (double)(conv->output[0] * conv->output[1]);
  return work;
}

/* How long the slowest of `workers` takes: `units` in `calls` of neighbours, as engine/base/thread_pool.c hands
 * them out. */
static double blocked_division_cost(const struct blocked_work *work, size_t samples, size_t workers, size_t row_parts,
                                    size_t panel_parts) {
  const size_t all = row_parts * panel_parts * samples, units = (all + workers - 1) / workers;
  const double rows = (double)((work->rows + row_parts - 1) / row_parts);
  const double panels = (double)((work->panels + panel_parts - 1) / panel_parts) / (double)work->panels;
  const double tiles = (double)(size_t)((rows + work->tile_rows - 1) / work->tile_rows);
  const double products = (rows + (work->tile_rows > 1 ? tiles : 0)) * work->row_products * panels;
  const double inputs = rows * work->row_inputs, weights = work->weights * panels;
  /* Inputs of one row mostly come from the worker that has written them. If panels are split, the others read them too,
   * and later perhaps the outputs, which then stand with several workers. */
  const double foreign = (work->input / (double)row_parts + work->output / (2 * (double)workers)) *
                         (1 - 1 / (double)panel_parts) * (double)samples * BLOCKED_FOREIGN_COST;
  double calls = 1;
  for (size_t left = units; left > 1; left /= 2) calls++;
  const double cost = (double)units * products + (panel_parts == 1 ? (double)units * inputs + calls * weights
                                                                   : calls * inputs + (double)units * weights);
  return cost + foreign + calls * BLOCKED_CALL_COST + (all > 1 ? BLOCKED_LOOP_COST : 0);
}

static size_t blocked_conv_divide(struct blocked_conv_f32 *conv, size_t samples, int workers) {
  const struct blocked_work work = blocked_work_of(conv);
  const size_t count = (size_t)workers, most_row_parts = work.rows / work.least_rows;
  conv->row_parts = conv->panel_parts = 1;
  if (workers < 2 || !work.panels || !work.rows || !samples) return 1;
  double best = blocked_division_cost(&work, samples, count, 1, 1);
  for (size_t panel_parts = 1; panel_parts <= work.panels && panel_parts <= 3 * count; panel_parts++)
    for (size_t each = 1; each <= 3; each++) { /* units for each worker */
      const size_t row_parts = (each * count + panel_parts * samples - 1) / (panel_parts * samples);
      if (row_parts > most_row_parts) continue;
      const double cost = blocked_division_cost(&work, samples, count, row_parts, panel_parts);
      if (cost >= best) continue;
      best = cost;
      conv->row_parts = row_parts;
      conv->panel_parts = panel_parts;
    }
  return conv->row_parts * conv->panel_parts;
}

static size_t blocked_rows(const struct blocked_conv_f32 *conv) {
  if (conv->algorithm == BLOCKED_DIRECT) return blocked_direct_of(conv).rows;
  const struct blocked_winograd w = blocked_winograd_of(conv);
  return w.tile_rows * w.tile_columns;
}

static void blocked_conv_run(const struct blocked_conv_f32 *conv, const void *x, void *y, size_t unit_begin,
                             size_t unit_end, void *scratch) {
  const size_t panels = blocked_panels(blocked_count(conv->outputs)), rows = blocked_rows(conv);
  while (unit_begin < unit_end) { /* whole parts of rows at once, else what shares one */
    const size_t left = unit_end - unit_begin, row_part = unit_begin / conv->panel_parts;
    const size_t panel_part = unit_begin % conv->panel_parts, whole = panel_part ? 0 : left / conv->panel_parts;
    const size_t row_parts = whole ? whole : 1;
    const size_t panel_parts = whole ? conv->panel_parts : blocked_smaller(left, conv->panel_parts - panel_part);
    const size_t row_begin = blocked_part(rows, conv->row_parts, row_part);
    const size_t row_end = blocked_part(rows, conv->row_parts, row_part + row_parts);
    const size_t panel_begin = blocked_part(panels, conv->panel_parts, panel_part);
    const size_t panel_end = blocked_part(panels, conv->panel_parts, panel_part + panel_parts);
    if (conv->algorithm == BLOCKED_DIRECT)
      blocked_direct_run(conv, x, y, row_begin, row_end, panel_begin, panel_end, scratch);
    else
      blocked_winograd_run(conv, x, y, row_begin, row_end, panel_begin, panel_end, scratch);
    unit_begin += row_parts * panel_parts;
  }
}
