// A picture's address, once the pages are built.
declare module "*.png" {
  const address: string;
  export default address;
}
