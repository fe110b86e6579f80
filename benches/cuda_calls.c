/* Counts what a program asks of a GPU: the CUDA driver loads this library where CUDA_INJECTION64_PATH names it, and CUPTI calls it back
   at every call of the driver, libraries included. At the end the counts are written as JSON to the file that CUDA_CALLS names.

   cc -shared -fPIC cuda_calls.c -o cuda_calls.so -l:libcupti.so.13 */

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of cupti.h, which needs headers of other packages. */
enum { SUCCESS = 0, DRIVER_API = 1, ENTER = 0 };
typedef struct {
  int site;
  const char *function;
  /* and more */
} Call;
extern int cuptiSubscribe(void **subscriber, void (*called)(void *, int, uint32_t, const void *), void *data);
extern int cuptiEnableDomain(uint32_t enable, void *subscriber, int domain);

static atomic_long launches, waits, to_host, to_device;

static int begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

static void called(void *nothing, int domain, uint32_t id, const void *data) {
  (void)nothing, (void)domain, (void)id;
  const Call *call = data;
  if (call->site != ENTER)
    return;
  const char *name = call->function;
  if (begins(name, "cuLaunchKernel") || begins(name, "cuGraphLaunch"))
    launches++;
  else if (strstr(name, "Synchronize"))
    waits++;
  else if (begins(name, "cuMemcpyDtoH"))
    to_host++;
  else if (begins(name, "cuMemcpyHtoD"))
    to_device++;
}

static void tell(void) {
  const char *path = getenv("CUDA_CALLS");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file)
    return;
  fprintf(file, "{\"launches\": %ld, \"waits\": %ld, \"copies_to_host\": %ld, \"copies_to_device\": %ld}\n", (long)launches, (long)waits,
          (long)to_host, (long)to_device);
  fclose(file);
}

/* Called by the driver. */
int InitializeInjection(void) {
  void *subscriber;
  if (cuptiSubscribe(&subscriber, called, NULL) != SUCCESS || cuptiEnableDomain(1, subscriber, DRIVER_API) != SUCCESS)
    return 0;
  atexit(tell);
  return 1;
}
