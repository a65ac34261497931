/** Where the instances are, as this page has to name them. */

/** The instance that served this page. */
export const here = new URL(".", location.href).href.replace(/\/$/, "");

/** The others. Behind a proxy that gives each a path of its own, they are told as paths. */
export function others(peerUrls = []) {
  const absolute = peerUrls.map((url) => new URL(url, location.href).href.replace(/\/$/, ""));
  return absolute.filter((url) => url !== here);
}
