/* Convolution on channel blocks: the choice of an algorithm and the division of work: part of kernel_table_isa.c. */

static enum blocked_algorithm blocked_conv_choose(const struct blocked_conv_f32 *conv, bool exact) {
  (void)conv, (void)exact;
  return BLOCKED_DIRECT;
}

static size_t blocked_conv_packed_size(const struct blocked_conv_f32 *conv) {
  return blocked_count(conv->outputs) * VF_LANES * conv->channels * conv->kernel[0] * conv->kernel[1];
}

static void blocked_conv_pack(const struct blocked_conv_f32 *conv, float *packed, const float *weights) {
  blocked_direct_pack(conv, packed, weights);
}

static size_t blocked_conv_scratch_size(const struct blocked_conv_f32 *conv) {
  return blocked_direct_scratch_size(conv);
}

/* The work of a sample: rows (of pixels, single pixels or tiles) times panels of outputs, cut in parts of both. */
struct blocked_division {
  size_t rows, row_parts;
  size_t panels, panel_parts;
};

/* Parts for each worker, so that a late one costs little. */
enum { BLOCKED_PARTS_PER_WORKER = 3 };

/* Splitting rows makes each worker read all weights, splitting outputs makes each read (and copy) all inputs: the
 * smaller of the two is read more than once. */
static struct blocked_division blocked_divide(const struct blocked_conv_f32 *conv, int workers) {
  struct blocked_division division = {.row_parts = 1, .panel_parts = 1};
  const struct blocked_direct d = blocked_direct_of(conv);
  const size_t weights = conv->outputs * conv->channels * conv->kernel[0] * conv->kernel[1];
  const size_t inputs = conv->channels * conv->input[0] * conv->input[1];
  const size_t wanted = workers > 1 ? (size_t)workers * BLOCKED_PARTS_PER_WORKER : 1;
  division.rows = d.rows;
  division.panels = blocked_panels(blocked_count(conv->outputs));
  size_t row_grains = d.in_place ? d.rows / BLOCKED_PIXELS_2 : d.rows;
  if (row_grains < 1) row_grains = 1;
  if (!division.panels) return division;
  if (weights > inputs) {
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
  while (unit_begin < unit_end) { /* all parts of outputs that share their rows at once */
    const size_t row_part = unit_begin / d.panel_parts, first = unit_begin % d.panel_parts;
    const size_t count = blocked_smaller(unit_end - unit_begin, d.panel_parts - first);
    blocked_direct_run(conv, x, y, blocked_part(d.rows, d.row_parts, row_part),
                       blocked_part(d.rows, d.row_parts, row_part + 1), blocked_part(d.panels, d.panel_parts, first),
                       blocked_part(d.panels, d.panel_parts, first + count), scratch);
    unit_begin += count;
  }
}
