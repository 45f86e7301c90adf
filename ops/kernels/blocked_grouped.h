/* Grouped 1x1 convolution on channel blocks where groups begin and end within blocks: part of kernel_table_isa.c.
 *
 * A panel is two neighbouring blocks of outputs; the last may be one. The groups that have outputs in a panel are its
 * segments: each is summed over its own channels alone, for the blocks that it has a part in. Where a block belongs to
 * several groups, the lanes of each are taken out of its sum by a mask, so that no group sees what another one holds.
 * Input channels are found by a list of places, so that any order of them costs the same.
 *
 * Packed weights: [panel][segment][channel of the group][blocks of the segment][b]. Order of the sum: channels of the
 * group from 0 upwards by fused multiply-adds. */

enum { GROUPED_VECTORS = 2, GROUPED_LARGEST_TILE = 14 };

/* Lanes [begin, end) of a block of the panel are the group's. */
struct grouped_part {
  size_t begin, end;
};

struct grouped_segment {
  size_t group;
  struct grouped_part part[GROUPED_VECTORS];
};

static size_t grouped_panels(const struct blocked_grouped_f32 *conv) {
  return (blocked_count(conv->outputs) + GROUPED_VECTORS - 1) / GROUPED_VECTORS;
}

INLINE size_t grouped_panel_vectors(const struct blocked_grouped_f32 *conv, size_t panel) {
  const size_t left = blocked_count(conv->outputs) - panel * GROUPED_VECTORS;
  return left < GROUPED_VECTORS ? left : GROUPED_VECTORS;
}

/* The panel's groups are [*first, the result); `outputs` are those of one group. */
INLINE size_t grouped_panel_groups(const struct blocked_grouped_f32 *conv, size_t outputs, size_t panel,
                                   size_t *first) {
  const size_t lanes = GROUPED_VECTORS * VF_LANES;
  const size_t end = (panel + 1) * lanes < conv->outputs ? (panel + 1) * lanes : conv->outputs;
  *first = panel * lanes / outputs;
  return (end - 1) / outputs + 1;
}

/* Lanes beyond the outputs belong to no group. */
INLINE struct grouped_segment grouped_segment_of(size_t outputs, size_t panel, size_t group) {
  const size_t first = group * outputs, last = first + outputs;
  struct grouped_segment segment = {.group = group};
  for (size_t v = 0; v < GROUPED_VECTORS; v++) {
    const size_t block = (panel * GROUPED_VECTORS + v) * VF_LANES;
    struct grouped_part *part = &segment.part[v];
    part->begin = first > block ? first - block : 0;
    part->end = last > block ? last - block : 0;
    if (part->end > VF_LANES) part->end = VF_LANES;
    if (part->begin >= part->end) part->begin = part->end = 0;
  }
  return segment;
}

INLINE size_t grouped_segment_blocks(const struct grouped_segment *segment) {
  return (size_t)(segment->part[0].end > 0) + (size_t)(segment->part[1].end > 0);
}

/* Vectors of weights for each channel of a group. */
static size_t grouped_panel_blocks(const struct blocked_grouped_f32 *conv, size_t outputs, size_t panel) {
  size_t blocks = 0, group;
  for (const size_t end = grouped_panel_groups(conv, outputs, panel, &group); group < end; group++) {
    const struct grouped_segment segment = grouped_segment_of(outputs, panel, group);
    blocks += grouped_segment_blocks(&segment);
  }
  return blocks;
}

static size_t blocked_grouped_packed_size(const struct blocked_grouped_f32 *conv) {
  const size_t outputs = conv->outputs / conv->groups, panels = grouped_panels(conv);
  size_t blocks = 0;
  for (size_t panel = 0; panel < panels; panel++) blocks += grouped_panel_blocks(conv, outputs, panel);
  return blocks * (conv->channels / conv->groups) * VF_LANES;
}

static void blocked_grouped_pack(const struct blocked_grouped_f32 *conv, float *packed, const float *weights) {
  const size_t channels = conv->channels / conv->groups, outputs = conv->outputs / conv->groups;
  for (size_t panel = 0; panel < grouped_panels(conv); panel++) {
    size_t group;
    for (const size_t end = grouped_panel_groups(conv, outputs, panel, &group); group < end; group++) {
      const struct grouped_segment segment = grouped_segment_of(outputs, panel, group);
      for (size_t c = 0; c < channels; c++)
        for (size_t v = 0; v < GROUPED_VECTORS; v++) {
          const struct grouped_part part = segment.part[v];
          const size_t block = (panel * GROUPED_VECTORS + v) * VF_LANES;
          for (size_t lane = 0; part.end > 0 && lane < VF_LANES; lane++)
            *packed++ = lane >= part.begin && lane < part.end ? weights[(block + lane) * channels + c] : 0;
        }
    }
  }
}

/* ---- the tile ---- */

/* What becomes of the sum of a block when its segment ends. */
enum grouped_end {
  GROUPED_GOES_ON,   /* nothing: the block is no other group's */
  GROUPED_KEEP,      /* it is kept, and the sum begins anew */
  GROUPED_KEEP_MORE, /* the same, where the sums of groups before are kept already */
  GROUPED_JOIN       /* it is the last one and joins those that were kept */
};

/* A segment as the tiles need it. */
struct grouped_steps {
  const size_t *offset; /* of each channel of the group, from the first pixel */
  unsigned first, last; /* the blocks of the panel that it has a part in are [first, last) */
  enum grouped_end end[GROUPED_VECTORS];
  uint32_t own[GROUPED_VECTORS]; /* a bit for each lane that is this group's or of one that follows */
};

/* What the tiles of one panel have in common. */
struct grouped_panel {
  const struct grouped_steps *segments;
  size_t segment_count;
  size_t channels; /* of a group */
  size_t vectors;  /* the panel's blocks */
  const float *weights, *bias;
  size_t weight_count;
  float *kept; /* room for the sums of other groups in shared blocks */
};

/* How sums are stored. */
struct grouped_end_of_sum {
  struct pointwise_end clamp;
  bool has_low, has_high;
  size_t y_plane; /* floats of a block of y */
};

/* Writes the segments of a panel; how many they are. */
static size_t grouped_panel_segments(const struct blocked_grouped_f32 *conv, size_t channels, size_t outputs,
                                     size_t panel, const size_t *offset, struct grouped_steps *steps) {
  size_t first;
  const size_t end = grouped_panel_groups(conv, outputs, panel, &first);
  for (size_t group = first; group < end; group++, steps++) {
    const struct grouped_segment segment = grouped_segment_of(outputs, panel, group);
    steps->offset = offset + group * channels;
    steps->first = segment.part[0].end == 0;
    steps->last = segment.part[1].end == 0 ? 1 : 2;
    for (size_t v = 0; v < GROUPED_VECTORS; v++) {
      const struct grouped_part part = segment.part[v];
      const bool follows = part.begin > 0, goes_on = part.end > 0 && part.end < VF_LANES && group + 1 < conv->groups;
      steps->own[v] = ~(uint32_t)0 << part.begin;
      steps->end[v] = follows ? (goes_on ? GROUPED_KEEP_MORE : GROUPED_JOIN) : goes_on ? GROUPED_KEEP : GROUPED_GOES_ON;
    }
  }
  return end - first;
}

/* One channel for vectors [first, last) of the panel. */
INLINE void grouped_step(vf sum[][BLOCKED_PANEL_VECTORS], const float *x, const float *weights, const int pixels,
                         const int first, const int last) {
  vf weight[GROUPED_VECTORS];
  UNROLL
  for (int v = first; v < last; v++) weight[v] = vf_load(weights + (v - first) * VF_LANES);
  UNROLL
  for (int r = 0; r < pixels; r++) {
    const vf value = vf_set1(x[r * VF_LANES]);
    UNROLL
    for (int v = first; v < last; v++) sum[r][v] = vf_fma(value, weight[v], sum[r][v]);
  }
}

/* All channels of a segment. Beside each weight the one `fetch` floats behind is asked for. */
INLINE const float *grouped_channels(vf sum[][BLOCKED_PANEL_VECTORS], const float *x, const float *weights,
                                     const size_t *offset, size_t channels, size_t fetch, const int pixels,
                                     const int first, const int last) {
  for (size_t c = 0; c < channels; c++, weights += (last - first) * VF_LANES) {
    for (int i = 0; i < (last - first) * VF_LANES; i += 16) __builtin_prefetch(weights + fetch + i, 0, 2);
    grouped_step(sum, x + offset[c], weights, pixels, first, last);
  }
  return weights;
}

INLINE void grouped_end_segment(vf sum[][BLOCKED_PANEL_VECTORS], float *kept, const struct grouped_steps *segment,
                                const int pixels, const int v) {
  const enum grouped_end end = segment->end[v];
  if (end == GROUPED_GOES_ON) return;
  if (end != GROUPED_KEEP) {
    const vm own = vm_from_bits(segment->own[v]);
    UNROLL
    for (int r = 0; r < pixels; r++) sum[r][v] = vf_select(own, sum[r][v], vf_load(kept + r * VF_LANES));
    if (end == GROUPED_JOIN) return;
  }
  UNROLL
  for (int r = 0; r < pixels; r++) {
    vf_store(kept + r * VF_LANES, sum[r][v]);
    sum[r][v] = vf_zero();
  }
}

/* y = activation(sum + bias + residual), but for activations that are no clamp. */
INLINE void grouped_store(const struct grouped_end_of_sum *end, vf sum[][BLOCKED_PANEL_VECTORS], const float *bias,
                          float *y, const float *residual, const int pixels, const int vectors) {
  UNROLL
  for (int v = 0; v < vectors; v++) {
    const vf term = vf_load(bias + v * VF_LANES);
    UNROLL
    for (int r = 0; r < pixels; r++) sum[r][v] += term;
  }
  if (residual) {
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) sum[r][v] += vf_load(residual + v * end->y_plane + r * VF_LANES);
    }
  }
  if (end->has_low) {
    const vf low = vf_set1(end->clamp.low);
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) sum[r][v] = vf_max(low, sum[r][v]);
    }
  }
  if (end->has_high) {
    const vf high = vf_set1(end->clamp.high);
    UNROLL
    for (int r = 0; r < pixels; r++) {
      UNROLL
      for (int v = 0; v < vectors; v++) sum[r][v] = vf_min(high, sum[r][v]);
    }
  }
  UNROLL
  for (int r = 0; r < pixels; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) vf_store(y + v * end->y_plane + r * VF_LANES, sum[r][v]);
  }
}

INLINE void grouped_tile_body(const struct grouped_panel *panel, const struct grouped_end_of_sum *end, size_t fetch,
                              const float *x, float *y, const float *residual, const int pixels, const int vectors) {
  vf sum[GROUPED_LARGEST_TILE][BLOCKED_PANEL_VECTORS];
  const float *weights = panel->weights;
  UNROLL
  for (int r = 0; r < pixels; r++) {
    UNROLL
    for (int v = 0; v < vectors; v++) sum[r][v] = vf_zero();
  }
  for (size_t i = 0; i < panel->segment_count; i++) {
    const struct grouped_steps *segment = &panel->segments[i];
    if (vectors == 1 || segment->last == 1)
      weights = grouped_channels(sum, x, weights, segment->offset, panel->channels, fetch, pixels, 0, 1);
    else if (segment->first == 1)
      weights = grouped_channels(sum, x, weights, segment->offset, panel->channels, fetch, pixels, 1, 2);
    else
      weights = grouped_channels(sum, x, weights, segment->offset, panel->channels, fetch, pixels, 0, 2);
    UNROLL
    for (int v = 0; v < vectors; v++) grouped_end_segment(sum, panel->kept + v * pixels * VF_LANES, segment, pixels, v);
  }
  grouped_store(end, sum, panel->bias, y, residual, pixels, vectors);
}

typedef void grouped_tile_function(const struct grouped_panel *panel, const struct grouped_end_of_sum *end,
                                   size_t fetch, const float *x, float *y, const float *residual);

#define TILE_INSTANCE(pixels, vectors)                                                                                 \
  static void grouped_tile_##pixels##x##vectors(const struct grouped_panel *panel,                                     \
                                                const struct grouped_end_of_sum *end, size_t fetch, const float *x,    \
                                                float *y, const float *residual) {                                     \
    grouped_tile_body(panel, end, fetch, x, y, residual, pixels, vectors);                                             \
  }
BLOCKED_EACH_PIXEL_COUNT_1(TILE_INSTANCE)
BLOCKED_EACH_PIXEL_COUNT_2(TILE_INSTANCE)
#undef TILE_INSTANCE

/* [vectors - 1][pixels - 1] */
#define TILE_NAME(pixels, vectors) grouped_tile_##pixels##x##vectors,
static grouped_tile_function *const grouped_tiles[GROUPED_VECTORS][GROUPED_LARGEST_TILE] = {
    {BLOCKED_EACH_PIXEL_COUNT_1(TILE_NAME)}, {BLOCKED_EACH_PIXEL_COUNT_2(TILE_NAME)}};
#undef TILE_NAME

/* ---- the division of work ---- */

/* What the inputs of a band of pixels may take of the first-level cache, in floats. */
enum { GROUPED_BAND_FLOATS = 32 * 1024 / sizeof(float) };

INLINE size_t grouped_band_pixels(const struct blocked_grouped_f32 *conv) {
  const size_t tiles = GROUPED_BAND_FLOATS / (conv->channels * BLOCKED_PIXELS_2);
  return (tiles ? tiles : 1) * BLOCKED_PIXELS_2;
}

/* Parts of the pixels are whole tiles, 4 at most, such that the fullest share of a worker is small. */
static size_t grouped_part_tiles(size_t tiles, size_t workers) {
  size_t best = 1, fullest = SIZE_MAX;
  for (size_t each = 4; each > 0; each--) {
    const size_t parts = (tiles + each - 1) / each, share = (parts + workers - 1) / workers * each;
    if (share < fullest) best = each, fullest = share;
  }
  return best;
}

/* Splitting pixels makes each worker read all weights, splitting panels makes each read all inputs. */
static struct blocked_parts blocked_grouped_parts(const struct blocked_grouped_f32 *conv, int workers) {
  const size_t count = (size_t)workers, panels = grouped_panels(conv);
  const size_t tiles = (conv->pixels + BLOCKED_PIXELS_2 - 1) / BLOCKED_PIXELS_2;
  struct blocked_parts parts = {.pixels = 1, .panels = 1, .part_pixels = conv->pixels};
  if (workers < 2 || !tiles) return parts;
  if (tiles < 2 * count || blocked_grouped_packed_size(conv) > conv->channels * conv->pixels) {
    parts.panels = blocked_smaller(3 * count, panels);
    if (parts.panels < count) parts.part_pixels = BLOCKED_PIXELS_2;
  } else {
    parts.part_pixels = grouped_part_tiles(tiles, count) * BLOCKED_PIXELS_2;
  }
  parts.pixels = (conv->pixels + parts.part_pixels - 1) / parts.part_pixels;
  return parts;
}

/* Scratch: the panels, the segments of all panels one behind the other, the offsets of all channels, room for sums. */
static size_t blocked_grouped_scratch_size(const struct blocked_grouped_f32 *conv) {
  const size_t panels = grouped_panels(conv);
  return panels * sizeof(struct grouped_panel) + (conv->groups + panels) * sizeof(struct grouped_steps) +
         conv->channels * sizeof(size_t) + GROUPED_VECTORS * GROUPED_LARGEST_TILE * VF_LANES * sizeof(float);
}

/* Pixels [begin, begin + pixels) of one panel; x, y and residual are the panel's. With `fetch`, the first tile asks for
 * the weights of the next panel. */
static void grouped_run_panel(const struct blocked_grouped_f32 *conv, const struct grouped_panel *panel,
                              const struct grouped_end_of_sum *end, bool fetch, const float *x, float *y,
                              const float *residual, size_t begin, size_t pixels) {
  const size_t vectors = panel->vectors, most = blocked_tile_pixels[vectors - 1], tiles = (pixels + most - 1) / most;
  for (size_t tile = 0; tile < tiles; tile++) {
    const size_t first = begin + blocked_part(pixels, tiles, tile);
    const size_t count = begin + blocked_part(pixels, tiles, tile + 1) - first;
    float *to = y + first * VF_LANES;
    grouped_tiles[vectors - 1][count - 1](panel, end, fetch && tile == 0 ? panel->weight_count : 0,
                                          x + first * VF_LANES, to, residual ? residual + first * VF_LANES : NULL);
    for (size_t v = 0; end->clamp.function && v < vectors; v++, to += end->y_plane)
      end->clamp.function(to, to, count * VF_LANES, conv->activation.a, conv->activation.b);
  }
}

/* Panels [begin, end) into the scratch. */
static struct grouped_panel *grouped_describe(const struct blocked_grouped_f32 *conv, size_t begin, size_t end,
                                              void *scratch) {
  static const float no_bias[GROUPED_VECTORS * 16] = {
#define FOUR -0.0f, -0.0f, -0.0f, -0.0f,
      FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR
#undef FOUR
  };
  struct grouped_panel *panels = scratch;
  struct grouped_steps *segments = (struct grouped_steps *)(panels + grouped_panels(conv));
  size_t *offset = (size_t *)(segments + conv->groups + grouped_panels(conv));
  for (size_t c = 0; c < conv->channels; c++) {
    const size_t place = conv->places ? conv->places[c] : c;
    offset[c] = place / VF_LANES * conv->pixels * VF_LANES + place % VF_LANES;
  }
  const size_t channels = conv->channels / conv->groups, outputs = conv->outputs / conv->groups;
  const float *weights = conv->packed_weights;
  for (size_t i = 0; i < end; i++) {
    const size_t count = grouped_panel_blocks(conv, outputs, i) * channels * VF_LANES;
    if (i >= begin) {
      panels[i] =
          (struct grouped_panel){.segments = segments,
                                 .segment_count = grouped_panel_segments(conv, channels, outputs, i, offset, segments),
                                 .channels = channels,
                                 .vectors = grouped_panel_vectors(conv, i),
                                 .weights = weights,
                                 .bias = conv->bias ? conv->bias + i * GROUPED_VECTORS * VF_LANES : no_bias,
                                 .weight_count = count,
                                 .kept = (float *)(offset + conv->channels)};
      segments += panels[i].segment_count;
    }
    weights += count;
  }
  return panels;
}

static void blocked_grouped_run(const struct blocked_grouped_f32 *conv, const float *x, float *y, size_t pixel_begin,
                                size_t pixel_end, size_t panel_begin, size_t panel_end, void *scratch) {
  const struct grouped_panel *panels = grouped_describe(conv, panel_begin, panel_end, scratch);
  struct grouped_end_of_sum end = {.clamp = pointwise_end_of(conv->activation), .y_plane = conv->pixels * VF_LANES};
  const size_t length = pixel_end - pixel_begin, most = grouped_band_pixels(conv), bands = (length + most - 1) / most;
  end.has_low = end.clamp.low > -INFINITY;
  end.has_high = end.clamp.high < INFINITY;
  for (size_t band = 0; band < bands; band++) {
    const size_t first = blocked_part(length, bands, band), pixels = blocked_part(length, bands, band + 1) - first;
    for (size_t i = panel_begin; i < panel_end; i++) {
      const size_t block = i * GROUPED_VECTORS * end.y_plane;
      grouped_run_panel(conv, &panels[i], &end, band == 0 && i + 1 < panel_end, x, y + block,
                        conv->residual ? conv->residual + block : NULL, pixel_begin + first, pixels);
    }
  }
}
