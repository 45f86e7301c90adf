/* A model as one HTML page that needs nothing else: the graph by blocks, the plan's steps with their times, memory over
 * the steps, and the health of BatchNormalization nodes. */
#ifndef TOOLS_PAGE_INSPECT_PAGE_H
#define TOOLS_PAGE_INSPECT_PAGE_H

#include "engine/norma.h"

#include <stdio.h>

/* What a page shows; all of it is borrowed. */
typedef struct inspect_page {
  const char *path;         /* the model's, as it was given */
  const norma_model *model; /* with the shapes that are to be shown */
  uint64_t multiply_accumulates;
  const norma_session *session; /* prepared, and made to measure; NULL: no plan could be made */
  const char *problem;          /* why not */
  const norma_bn_study *study;  /* NULL: none */
  const char *profile;          /* what `norma run --profile FILE` wrote; NULL: none */
  const char *report;           /* what `norma bn reestimate --report FILE` wrote; NULL: none */
} inspect_page;

/* Write errors stay in the stream. */
void inspect_page_write(FILE *file, const inspect_page *page);

#endif
