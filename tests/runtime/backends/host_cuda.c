/* A libcuda.so.1 that does its work on the host, so that the real bindings can be tried without a
 * GPU: tests/runtime/backends/test_bindings.py compiles and preloads it.
 *
 * As on a GPU, a stream runs nothing before it has to: a test that reads too early reads old bytes.
 * As in CUDA, a call without a current context fails. One device, sm86, 256 MiB.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int Result;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201, NOT_READY = 600,
       UNSUPPORTED = 900, NOT_FOUND = 500 };

typedef struct Event { int done; double ms; struct Stream *pending; } Event;
typedef struct { enum { COPY, RECORD, WAIT } kind; void *to; const void *from; size_t size; Event *event; } Work;
typedef struct Queue { Work *work; size_t count, room; } Queue;
typedef struct Stream { Queue queue; size_t ran; Queue *graph; } Stream;

static const size_t TOTAL = (size_t)256 << 20;
static size_t used;
static int context;                       /* its address is the primary context */
static _Thread_local void *stack[64];
static _Thread_local int depth;

#define NEEDS_CONTEXT if (!depth) return INVALID_CONTEXT

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void add(Queue *queue, Work work) {
  if (queue->count == queue->room) {
    queue->room = queue->room ? 2 * queue->room : 16;
    queue->work = realloc(queue->work, queue->room * sizeof(Work));
  }
  queue->work[queue->count++] = work;
}

static void run(Stream *stream) {
  while (stream->ran < stream->queue.count) {
    Work work = stream->queue.work[stream->ran++];
    if (work.kind == COPY) memcpy(work.to, work.from, work.size);
    if (work.kind == RECORD) work.event->ms = now(), work.event->done = 1;
    if (work.kind == WAIT && work.event->pending && !work.event->done) run(work.event->pending);
  }
  stream->ran = stream->queue.count = 0;
}

static Result put(Stream *stream, Work work) {
  NEEDS_CONTEXT;
  if (!stream) return INVALID_VALUE;
  add(stream->graph ? stream->graph : &stream->queue, work);
  return OK;
}

Result cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }
Result cuDriverGetVersion(int *version) { *version = 13000; return OK; }
Result cuDeviceGetCount(int *count) { *count = 1; return OK; }
Result cuDeviceGet(int *device, int ordinal) { *device = 0; return ordinal ? INVALID_VALUE : OK; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 0;
  return OK;
}
Result cuDevicePrimaryCtxRetain(void **got, int device) { (void)device; *got = &context; return OK; }
Result cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return OK; }
Result cuCtxPushCurrent_v2(void *one) {
  if (depth == 64) return INVALID_VALUE;
  stack[depth++] = one;
  return OK;
}
Result cuCtxPopCurrent_v2(void **one) { NEEDS_CONTEXT; *one = stack[--depth]; return OK; }
Result cuCtxGetCurrent(void **one) { *one = depth ? stack[depth - 1] : 0; return OK; }

Result cuMemGetInfo_v2(size_t *free_, size_t *total) {
  NEEDS_CONTEXT;
  *free_ = TOTAL - used, *total = TOTAL;
  return OK;
}
Result cuMemAlloc_v2(uint64_t *address, size_t size) {
  NEEDS_CONTEXT;
  if (!size) return INVALID_VALUE;
  if (size > TOTAL - used) return OUT_OF_MEMORY;
  size_t *block = aligned_alloc(256, 256 + ((size + 255) & ~(size_t)255));
  *block = size, used += size;
  *address = (uint64_t)(uintptr_t)block + 256;
  return OK;
}
Result cuMemFree_v2(uint64_t address) {
  NEEDS_CONTEXT;
  size_t *block = (size_t *)(uintptr_t)(address - 256);
  used -= *block;
  free(block);
  return OK;
}
Result cuMemHostAlloc(void **address, size_t size, unsigned flags) {
  NEEDS_CONTEXT;
  (void)flags;
  *address = calloc(1, size);
  return OK;
}
Result cuMemFreeHost(void *address) { NEEDS_CONTEXT; free(address); return OK; }

Result cuStreamCreate(Stream **stream, unsigned flags) {
  NEEDS_CONTEXT;
  if (flags != 1) return INVALID_VALUE; /* ours are non-blocking */
  *stream = calloc(1, sizeof **stream);
  return OK;
}
Result cuStreamDestroy_v2(Stream *stream) {
  NEEDS_CONTEXT;
  run(stream);
  free(stream->queue.work), free(stream);
  return OK;
}
Result cuStreamSynchronize(Stream *stream) {
  NEEDS_CONTEXT;
  if (stream->graph) return UNSUPPORTED; /* not while capturing */
  run(stream);
  return OK;
}
Result cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, Stream *stream) {
  return put(stream, (Work){COPY, (void *)(uintptr_t)to, from, size, 0});
}
Result cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, Stream *stream) {
  return put(stream, (Work){COPY, to, (void *)(uintptr_t)from, size, 0});
}

Result cuEventCreate(Event **event, unsigned flags) {
  NEEDS_CONTEXT;
  (void)flags;
  *event = calloc(1, sizeof **event);
  return OK;
}
Result cuEventDestroy_v2(Event *event) { NEEDS_CONTEXT; free(event); return OK; }
Result cuEventRecord(Event *event, Stream *stream) {
  event->done = 0, event->pending = stream;
  return put(stream, (Work){RECORD, 0, 0, 0, event});
}
Result cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
  (void)flags;
  return put(stream, (Work){WAIT, 0, 0, 0, event});
}
Result cuEventSynchronize(Event *event) {
  NEEDS_CONTEXT;
  if (event->pending) run(event->pending);
  return OK;
}
Result cuEventElapsedTime(float *ms, Event *begin, Event *end) {
  NEEDS_CONTEXT;
  if (!begin->done || !end->done) return NOT_READY;
  *ms = (float)(end->ms - begin->ms);
  return OK;
}
Result cuEventElapsedTime_v2(float *ms, Event *begin, Event *end) {
  return cuEventElapsedTime(ms, begin, end);
}

Result cuStreamBeginCapture_v2(Stream *stream, int mode) {
  NEEDS_CONTEXT;
  if (stream->graph || mode != 1) return INVALID_VALUE; /* ours is of the thread */
  stream->graph = calloc(1, sizeof(Queue));
  return OK;
}
Result cuStreamEndCapture(Stream *stream, Queue **graph) {
  NEEDS_CONTEXT;
  if (!stream->graph) return INVALID_VALUE;
  *graph = stream->graph, stream->graph = 0;
  return OK;
}
Result cuGraphInstantiateWithFlags(Queue **ready, Queue *graph, unsigned long long flags) {
  NEEDS_CONTEXT;
  (void)flags;
  *ready = calloc(1, sizeof **ready);
  for (size_t i = 0; i < graph->count; i++) add(*ready, graph->work[i]);
  return OK;
}
Result cuGraphDestroy(Queue *graph) { NEEDS_CONTEXT; free(graph->work), free(graph); return OK; }
Result cuGraphExecDestroy(Queue *graph) { return cuGraphDestroy(graph); }
Result cuGraphLaunch(Queue *graph, Stream *stream) {
  NEEDS_CONTEXT;
  for (size_t i = 0; i < graph->count; i++) add(&stream->queue, graph->work[i]);
  return OK;
}

static const char *name(int error) {
  return error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
       : error == INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
       : error == NOT_READY ? "CUDA_ERROR_NOT_READY"
       : error == UNSUPPORTED ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED" : "CUDA_ERROR_INVALID_VALUE";
}
Result cuGetErrorName(int error, const char **text) { *text = name(error); return OK; }
Result cuGetErrorString(int error, const char **text) {
  *text = error == OUT_OF_MEMORY ? "out of memory" : "what the driver says";
  return OK;
}

/* The bindings ask for each function by its name without a version. */
Result cuGetProcAddress_v2(const char *symbol, void **found, int version, uint64_t flags, int *status) {
  static const char *suffixes[] = {"_v2", "", "WithFlags"};
  char full[128];
  (void)version, (void)flags;
  *found = 0;
  for (int i = 0; i < 3 && !*found && strlen(symbol) < 100; i++) {
    strcpy(full, symbol), strcat(full, suffixes[i]);
    *found = dlsym(RTLD_DEFAULT, full);
  }
  if (status) *status = !*found;
  return *found ? OK : NOT_FOUND;
}
Result cuGetProcAddress(const char *symbol, void **found, int version, uint64_t flags) {
  return cuGetProcAddress_v2(symbol, found, version, flags, 0);
}
